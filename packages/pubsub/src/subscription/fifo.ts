const SMALL = 4;
const NONE: never[] = [];
/** One that was this large is made small again when it is empty. */
const LARGE = 256;

/** First in, first out: a ring, so that one that is filled and emptied in turn makes no garbage. */
export class Fifo<T> {
  /** Made for the first item: most subscriptions of a large app wait for one. */
  #ring: (T | undefined)[] = NONE;
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get last(): T | undefined {
    return this.#length > 0 ? this.#ring[this.#at(this.#length - 1)] : undefined;
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[this.#at(this.#length)] = item;
    this.#length += 1;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = this.#at(1);
    this.#length -= 1;
    if (this.#length === 0 && this.#ring.length >= LARGE) this.clear();
    return item;
  }

  clear(): void {
    this.#ring = NONE;
    this.#head = 0;
    this.#length = 0;
  }

  /** The length of the ring is a power of two. */
  #at(offset: number): number {
    return (this.#head + offset) & (this.#ring.length - 1);
  }

  #grow(): void {
    const { length } = this.#ring;
    if (length === 0) {
      this.#ring = new Array(SMALL);
      return;
    }
    this.#ring = [...this.#ring.slice(this.#head), ...this.#ring.slice(0, this.#head)];
    this.#ring.length = length * 2;
    this.#head = 0;
  }
}
