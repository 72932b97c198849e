/**
 * Values by keys that several share. Most keys have one value, which is kept without a set of its own.
 * Nothing stays of a key without values.
 */
export class MultiMap<K, V extends object> {
  readonly #groups = new Map<K, V | Set<V>>();

  /** The number of keys. */
  get size(): number {
    return this.#groups.size;
  }

  has(key: K): boolean {
    return this.#groups.has(key);
  }

  /** Returns a copy, so that values may be deleted while it is iterated, in the order of their coming. */
  get(key: K): readonly V[] {
    const group = this.#groups.get(key);
    if (group === undefined) return [];
    return group instanceof Set ? [...group] : [group];
  }

  count(key: K): number {
    const group = this.#groups.get(key);
    if (group === undefined) return 0;
    return group instanceof Set ? group.size : 1;
  }

  add(key: K, value: V): void {
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, value);
    else if (group instanceof Set) group.add(value);
    else if (group !== value) this.#groups.set(key, new Set([group, value]));
  }

  delete(key: K, value: V): void {
    const group = this.#groups.get(key);
    if (group instanceof Set) {
      group.delete(value);
      if (group.size === 1) for (const left of group) this.#groups.set(key, left);
    } else if (group === value) {
      this.#groups.delete(key);
    }
  }
}
