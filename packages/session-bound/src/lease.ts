import { after, type Cancel } from "@lanai/connection/deadline";

/** The time that a live connection has until its proof is too old. */
export class Lease {
  readonly #end: () => void;
  readonly #clock: () => number;
  #until: number;
  #cancel: Cancel = () => {};

  /**
   * @param until - The instant at which the connection ends, by `clock`.
   * @param signal - Aborts when the connection has ended for another reason.
   */
  constructor(until: number, clock: () => number, signal: AbortSignal, end: () => void) {
    this.#until = until;
    this.#clock = clock;
    this.#end = end;
    if (signal.aborted) return;
    signal.addEventListener("abort", () => this.#cancel(), { once: true });
    this.#arm();
  }

  /** Postpones the end; never brings it forward. */
  extend(until: number): void {
    if (until > this.#until) this.#until = until;
  }

  // When the timer fires, the clock decides: the lease may have been extended meanwhile.
  #arm(): void {
    this.#cancel = after(
      Math.max(this.#until - this.#clock(), 0),
      () => {
        if (this.#clock() < this.#until) this.#arm();
        else this.#end();
      },
      { unref: true },
    );
  }
}
