/** The time during which an update counts, in milliseconds. */
const WINDOW = 5_000;

/**
 * The server's advisories that a stream was updated. Two of them between two reads that show the same
 * subjects mean that the subjects may have been others in between.
 */
export class UpdateLog {
  readonly #times = new Map<string, number[]>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(name: string): void {
    const times = this.#recent(name);
    this.#times.set(name, [...times.slice(-1), this.#now()]);
  }

  /** A read has shown what the updates did. */
  clear(name: string): void {
    this.#times.delete(name);
  }

  /** The streams that were updated twice although a read shows no change; forgets all others. */
  takeFlapped(streams: ReadonlySet<string>): Set<string> {
    const flapped = new Set<string>();
    for (const name of [...this.#times.keys()]) {
      const { length } = this.#recent(name);
      if (streams.has(name) && length > 1) flapped.add(name);
      if (length !== 1 || !streams.has(name)) this.#times.delete(name);
    }
    return flapped;
  }

  #recent(name: string): number[] {
    const since = this.#now() - WINDOW;
    return (this.#times.get(name) ?? []).filter((time) => time > since);
  }
}
