/** Before the others are told again, in milliseconds. */
const RETRY = 2_000;

/**
 * Channels of whose members the others could not be told. They miss a note only when the next one comes,
 * so that they are told again until the bus takes it.
 */
export class Untold {
  readonly #keys = new Set<string>();
  readonly #tell: (key: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(tell: (key: string) => void) {
    this.#tell = tell;
  }

  add(key: string): void {
    if (this.#isClosed) return;
    this.#keys.add(key);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const keys = [...this.#keys];
      this.#keys.clear();
      for (const it of keys) this.#tell(it);
    }, RETRY).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
