interface Failures {
  count: number;
  until: number;
}

/** The time that one name at one address must wait after wrong passwords: 1 s after the fifth, doubled up to a minute. */
export class Throttle {
  readonly #failures = new Map<string, Failures>();
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Returns for how many whole seconds `key` has to wait; 0 if it may try. */
  wait(key: string): number {
    const { until = 0 } = this.#failures.get(key) ?? {};
    return Math.max(0, Math.ceil((until - this.#clock()) / 1000));
  }

  failed(key: string): void {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const pause = count < 5 ? 0 : Math.min(1000 * 2 ** (count - 5), 60_000);
    this.#failures.delete(key);
    this.#failures.set(key, { count, until: this.#clock() + pause });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > 10_000 && oldest !== undefined) this.#failures.delete(oldest);
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }
}
