import { checkOptions, integer, type Rules, text } from "@lanai/connection/options";
import type { RedisClient } from "./bounded-client.ts";
import { checkClient } from "./client-options.ts";
import { AT_ONCE } from "./turns.ts";

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * The prefix of the store's keys, so that several apps can share one Redis. Braces are not
   * allowed, because on a cluster they choose the slot of a key. Default: `lanai:`.
   */
  readonly prefix?: string;
  /**
   * The greatest number of outstanding replies of Redis. While Redis hangs, calls beyond it are
   * refused at once and don't fill this process's memory. An integer from 100. Default: 10,000.
   */
  readonly maxWaiting?: number;
}

const OPTIONS: Rules<RedisStoreOptions> = {
  prefix: text("a string without braces", /^[^{}]*$/),
  maxWaiting: integer(AT_ONCE),
};

/** @throws {TypeError | RangeError} for a client or an option that `redisStore` doesn't accept. */
export function checkArguments(redis: RedisClient, options: RedisStoreOptions): void {
  if (typeof redis?.call !== "function" || typeof redis.isCluster !== "boolean") {
    throw new TypeError("redisStore: the first argument must be a Redis or a Cluster of ioredis");
  }
  checkClient(redis as { readonly options?: unknown });
  checkOptions("redisStore", options, OPTIONS);
}
