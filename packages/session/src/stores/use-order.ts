/** An element of a {@link UseOrder}; only the order writes these fields. */
export interface Placed<T> {
  older: T | undefined;
  newer: T | undefined;
}

/** Things in the order of their last use. Adding, removing and finding the oldest take O(1). */
export class UseOrder<T extends Placed<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;

  /** The one whose last use is longest ago, `spared` left aside. */
  oldestBut(spared?: T): T | undefined {
    return this.#oldest === spared ? spared?.newer : this.#oldest;
  }

  add(item: T): void {
    item.older = this.#newest;
    item.newer = undefined;
    if (this.#newest) this.#newest.newer = item;
    else this.#oldest = item;
    this.#newest = item;
  }

  remove(item: T): void {
    if (item.older) item.older.newer = item.newer;
    else this.#oldest = item.newer;
    if (item.newer) item.newer.older = item.older;
    else this.#newest = item.older;
  }
}
