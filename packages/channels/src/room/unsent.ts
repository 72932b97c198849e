/** The time before notes are sent again, in milliseconds. */
const RETRY = 2_000;

/**
 * Channels with a note about their members that the bus has rejected. The other processes would notice only
 * at the next note that one is missing, so the members are sent again until the bus accepts them.
 */
export class Unsent {
  readonly #keys = new Set<string>();
  readonly #send: (key: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(send: (key: string) => void) {
    this.#send = send;
  }

  add(key: string): void {
    if (this.#isClosed) return;
    this.#keys.add(key);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const keys = [...this.#keys];
      this.#keys.clear();
      for (const it of keys) this.#send(it);
    }, RETRY).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
