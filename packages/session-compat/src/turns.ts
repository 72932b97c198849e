const turns = new WeakMap<object, Turns>();

/** Lets calls that name the same key run one after the other, as far as this process knows. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** The one of a store: however often it is wrapped, its calls take turns. */
  static of(store: object): Turns {
    const known = turns.get(store) ?? new Turns();
    turns.set(store, known);
    return known;
  }

  /** The number of keys that have calls that run or wait. */
  get size(): number {
    return this.#last.size;
  }

  /** Runs `call` when all calls before it on this key are done. */
  async take<T>(key: string, call: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const turn = before === undefined ? call() : before.then(call, call);
    this.#last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }
}
