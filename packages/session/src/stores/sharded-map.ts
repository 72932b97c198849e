const SHARDS = 1024;

/**
 * A Map in 1,024 parts: no part is so large that growing it stalls the process, and one part at a time
 * can be looked through.
 */
export class ShardedMap<V> {
  readonly shards: readonly Map<string, V>[] = Array.from({ length: SHARDS }, () => new Map());

  get(key: string): V | undefined {
    return this.#shard(key).get(key);
  }

  set(key: string, value: V): void {
    this.#shard(key).set(key, value);
  }

  delete(key: string): void {
    this.#shard(key).delete(key);
  }

  // By the end of the key: keys of sessions end in a hash, names of owners begin alike.
  #shard(key: string): Map<string, V> {
    const end = key.length;
    const mixed =
      key.charCodeAt(end - 1) + key.charCodeAt(end - 2) * 11 + key.charCodeAt(end - 3) * 37;
    // A text of fewer than three characters mixes to NaN, and `NaN & 1023` is 0.
    return this.shards[mixed & (SHARDS - 1)] as Map<string, V>;
  }
}
