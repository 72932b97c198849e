import type { LiveMessage } from "./message.ts";

export interface EventIteratorHooks {
  /** Returns what happens when more messages wait than the limit allows. */
  full(): "close" | "drop-oldest";
  closed(): void;
}

/** The messages of one event, for code that iterates: bounded, and `return` settles at once. */
export class EventIterator<T> implements AsyncIterableIterator<T> {
  readonly #hooks: EventIteratorHooks;
  readonly #limit: number;
  #waiting: string[] = [];
  #readers: ((result: IteratorResult<T>) => void)[] = [];
  #isClosed = false;

  constructor(limit: number, hooks: EventIteratorHooks) {
    this.#limit = limit;
    this.#hooks = hooks;
  }

  push({ json }: LiveMessage): void {
    if (this.#isClosed) return;
    const reader = this.#readers.shift();
    if (reader) {
      reader({ done: false, value: JSON.parse(json) as T });
      return;
    }
    this.#waiting.push(json);
    if (this.#waiting.length <= this.#limit) return;
    if (this.#hooks.full() === "drop-oldest") this.#waiting.shift();
  }

  next(): Promise<IteratorResult<T>> {
    const json = this.#waiting.shift();
    if (json !== undefined) return Promise.resolve({ done: false, value: JSON.parse(json) as T });
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** Ends the iterator: readers that wait receive `done` now, not with the next message. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting = [];
    for (const reader of this.#readers) reader({ done: true, value: undefined });
    this.#readers = [];
    this.#hooks.closed();
  }

  return(): Promise<IteratorResult<T>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
