import {
  checkOptions,
  flag,
  integer,
  MAX_TIMER,
  type Rules,
  text,
} from "@lanai/connection/options";
import { isRedisClient, type RedisClient } from "./redis/client.ts";

/** Options of `redisPubSub`. */
export interface RedisPubSubOptions {
  /**
   * The prefix of all channels and keys, so that several apps can share one Redis. It must not contain
   * braces: on a cluster they decide which node has a key. Default: `lanai:`.
   */
  readonly prefix?: string;
  /**
   * Sharded channels (Redis 7, Cluster): a message goes to one node of the cluster instead of to
   * all. The first token of a subscription must then be literal. Default: `false`.
   */
  readonly sharded?: boolean;
  /**
   * The number of wildcard subscriptions that have a pattern of their own in Redis. Further ones share
   * one pattern for each first token, and if there are as many of these, one for everything. Redis
   * compares each message with each pattern of each process. With 0 there is a single pattern,
   * `<prefix>[^$]*`, and an ACL has to allow no other. From 0 to 1,000. Default: 8.
   */
  readonly maxPatterns?: number;
  /**
   * The milliseconds without an answer after which a call rejects with `ERR_PUBSUB_UNAVAILABLE`. From
   * 100. Default: 5,000.
   */
  readonly timeout?: number;
  /**
   * The heartbeat of the subscribing connection, in milliseconds: the connection is pinged, and the
   * streams are checked for messages that were missed. From 100. Default: 15,000.
   */
  readonly pingInterval?: number;
  /**
   * The number of messages that may wait to be published; further ones are rejected at once. Together
   * they hold at most 64 MiB, or one message. From 1. Default: 100,000.
   */
  readonly maxWaiting?: number;
}

const RULES: Rules<RedisPubSubOptions> = {
  prefix: text("a string without braces and spaces", /^[^{}\s]*$/),
  sharded: flag,
  maxPatterns: integer(0, 1_000),
  timeout: integer(100, MAX_TIMER),
  pingInterval: integer(100, MAX_TIMER),
  maxWaiting: integer(1, 10_000_000),
};

/** @throws TypeError or RangeError that names the option, what came and what is accepted. */
export function settingsOf(
  redis: RedisClient,
  options: RedisPubSubOptions,
): Required<RedisPubSubOptions> {
  if (!isRedisClient(redis)) {
    throw new TypeError("redisPubSub: the first argument must be a Redis or a Cluster of ioredis");
  }
  checkOptions("redisPubSub", options, RULES);
  checkClient(redis);
  const { prefix = "lanai:", sharded = false, maxPatterns = 8, timeout = 5_000 } = options;
  const { pingInterval = 15_000, maxWaiting = 100_000 } = options;
  return { prefix, sharded, maxPatterns, timeout, pingInterval, maxWaiting };
}

/** Options of a client under which nothing can be published, with what is wrong about them. */
const REFUSED: Readonly<Record<string, readonly [value: unknown, why: string]>> = {
  monitor: [true, "a connection that monitors takes no commands"],
  readOnly: [true, "a replica takes no publishes that are stored"],
  role: ["slave", "a replica takes no publishes that are stored"],
};

/** @throws TypeError for a client that can't keep a promise. The README lists its other options. */
function checkClient(redis: RedisClient): void {
  const { redisOptions = {}, ...own } = redis.options as Record<string, object | undefined>;
  const options: Readonly<Record<string, unknown>> = { ...redisOptions, ...own };
  for (const [name, [value, why]] of Object.entries(REFUSED)) {
    if (options[name] !== value) continue;
    throw new TypeError(`redisPubSub: the client must not have ${name}: ${value}: ${why}`);
  }
}
