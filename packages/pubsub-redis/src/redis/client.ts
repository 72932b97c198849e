import { within as answerWithin } from "@lanai/connection/deadline";
import { PubSubError } from "@lanai/pubsub";
import type { Script } from "./scripts.ts";

/** The calls that are used of a `Redis` of ioredis, 5.9 or 6. */
export interface RedisNode {
  readonly isCluster: boolean;
  readonly options: object;
  /** Makes another connection to the same place. */
  duplicate(options: object): object;
}

/** The calls that are used of a `Cluster` of ioredis, 5.9 or 6. */
export interface RedisClusterClient {
  readonly isCluster: boolean;
  readonly options: object;
  readonly slots: readonly (readonly string[])[];
  nodes(role: "all" | "master"): readonly RedisNode[];
}

/** A client of ioredis that the app has made: a `Redis`, also one behind Sentinel, or a `Cluster`. */
export type RedisClient = RedisNode | RedisClusterClient;

type Eval = (script: string, keys: number, ...args: (string | Buffer)[]) => Promise<unknown>;

/**
 * Methods that ioredis has but doesn't declare. `callBuffer`, which it declares, doesn't work
 * together with `enableAutoPipelining`.
 */
interface Scripting {
  readonly evalBuffer: Eval;
  readonly evalshaBuffer: Eval;
}

export function isRedisClient(redis: unknown): redis is RedisClient {
  const { evalshaBuffer, isCluster } = (redis ?? {}) as Partial<Scripting & RedisClient>;
  return typeof evalshaBuffer === "function" && typeof isCluster === "boolean";
}

export function isCluster(redis: RedisClient): redis is RedisClusterClient {
  return redis.isCluster;
}

/**
 * Resolves to what the promise resolves to, if it does so within `ms` milliseconds.
 *
 * @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`.
 */
export function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return answerWithin(ms, promise, () => {
    throw unavailable(new Error(`no reply within ${ms} ms`));
  });
}

/** Makes the error of a call that failed, without what the client's own error quotes. */
export function unavailable(cause: unknown): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_UNAVAILABLE",
    "Redis can't be reached, or failed: see the cause",
    { cause: withoutSecrets(cause) },
  );
}

/** Makes the error of a publish that was sent and may or may not have been done. */
export function outcomeUnknown({ cause }: { readonly cause?: unknown }): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_UNAVAILABLE",
    "Redis didn't confirm the publish: the outcome is unknown. It is stored or delivered once or not " +
      "at all; publish it again with the same messageId to be sure",
    { cause },
  );
}

/** The client's errors carry the command with its arguments, and some messages quote them. */
function withoutSecrets(error: unknown): Error {
  const { message, code } = error as { message?: unknown; code?: unknown };
  const [text] = String(message).split(", with args beginning with");
  return Object.assign(new Error(text), typeof code === "string" && { code });
}

/**
 * Runs a script by its hash; a Redis that doesn't know it yet is sent the text.
 *
 * @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`
 */
export async function run(
  redis: RedisClient,
  { text, sha }: Script,
  keys: readonly string[],
  args: readonly (string | Buffer)[],
): Promise<unknown> {
  const count = keys.length;
  const client = redis as RedisClient & Scripting;
  try {
    return await client.evalshaBuffer(sha, count, ...keys, ...args).catch((error: Error) => {
      // A new server, one that took over, or SCRIPT FLUSH. Nothing was done.
      if (!error.message.startsWith("NOSCRIPT")) throw error;
      return client.evalBuffer(text, count, ...keys, ...args);
    });
  } catch (error) {
    throw unavailable(error);
  }
}
