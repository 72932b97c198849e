import { PubSubError } from "@lanai/pubsub";
import type { Script } from "./scripts.ts";

/** What is needed of a `Redis` of ioredis, 5.9 or 6. */
export interface RedisNode {
  readonly isCluster: boolean;
  readonly options: object;
  /** Makes another connection to the same place. */
  duplicate(options: object): object;
}

/** What is needed of a `Cluster` of ioredis, 5.9 or 6. */
export interface RedisClusterClient {
  readonly isCluster: boolean;
  readonly options: object;
  readonly slots: readonly (readonly string[])[];
  nodes(role: "all" | "master"): readonly RedisNode[];
}

export type RedisClient = RedisNode | RedisClusterClient;

type Eval = (script: string, keys: number, ...args: (string | Buffer)[]) => Promise<unknown>;

/**
 * What ioredis has but doesn't declare. `callBuffer`, which it does, fails with
 * `enableAutoPipelining`.
 */
interface Scripting {
  readonly evalBuffer: Eval;
  readonly evalshaBuffer: Eval;
}

export const isRedisClient = (redis: unknown): redis is RedisClient => {
  const { evalshaBuffer, isCluster } = (redis ?? {}) as Partial<Scripting & RedisClient>;
  return typeof evalshaBuffer === "function" && typeof isCluster === "boolean";
};

/** Waits for a promise, but not for ever. @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`. */
export const within = async <T>(ms: number, promise: Promise<T>): Promise<T> => {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(unavailable(new Error(`nothing in ${ms} ms`))), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};

export const unavailable = (cause: unknown): PubSubError =>
  new PubSubError("ERR_PUBSUB_UNAVAILABLE", "Redis can't be reached, or failed: see the cause", {
    cause: withoutSecrets(cause),
  });

/** The client's errors carry the command with its arguments, and some messages quote them. */
const withoutSecrets = (error: unknown): Error => {
  const { message, code } = error as { message?: unknown; code?: unknown };
  const [text] = String(message).split(", with args beginning with");
  return Object.assign(new Error(text), typeof code === "string" && { code });
};

/**
 * Runs a script by its hash; a Redis that doesn't know it yet is sent the text.
 *
 * @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`
 */
export const run = async (
  redis: RedisClient,
  { text, sha }: Script,
  keys: readonly string[],
  args: readonly (string | Buffer)[],
): Promise<unknown> => {
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
};
