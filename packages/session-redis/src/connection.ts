import type { Script } from "./scripts.ts";

/** What is needed of ioredis: a `Redis` or a `Cluster` of version 5.9 or 6. */
export interface RedisClient {
  readonly isCluster: boolean;
  call(command: string, ...args: string[]): Promise<unknown>;
}

/** The app's client, with replies that wait bounded in number and errors that hold no secret. */
export class Connection {
  readonly isCluster: boolean;
  readonly #redis: RedisClient;
  readonly #maxWaiting: number;
  #waiting = 0;

  constructor(redis: RedisClient, maxWaiting: number) {
    this.isCluster = redis.isCluster;
    this.#redis = redis;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Runs a script by its hash; a Redis that doesn't know it yet is sent the text. A script also to
   * read: a client may send other commands to replicas, which are behind.
   *
   * @throws with a plain Error if Redis fails, or owes too many answers.
   */
  async run(script: Script, keys: readonly string[], ...args: string[]): Promise<unknown> {
    const count = keys.length;
    const given = [`${count}`, ...keys, ...args];
    try {
      return await this.#send(count, "EVALSHA", [script.sha, ...given]);
    } catch (error) {
      // A new server, one that took over, or SCRIPT FLUSH. Nothing was applied.
      if (!(error as Error).message.startsWith("NOSCRIPT")) throw error;
      return this.#send(count, "EVAL", [script.text, ...given]);
    }
  }

  async #send(weight: number, command: string, args: string[]): Promise<unknown> {
    if (this.#waiting + weight > this.#maxWaiting) {
      throw new Error(
        `redisStore: Redis owes ${this.#waiting} answers, and maxWaiting allows no more`,
      );
    }
    this.#waiting += weight;
    try {
      return await this.#redis.call(command, ...args);
    } catch (error) {
      throw withoutSecrets(error);
    } finally {
      this.#waiting -= weight;
    }
  }
}

/** The client's errors carry the command with its keys and values, and some messages quote them. */
export const withoutSecrets = (error: unknown): Error => {
  const { message, code } = error as { message?: unknown; code?: unknown };
  const [text] = String(message).split(", with args beginning with");
  return Object.assign(new Error(text), typeof code === "string" && { code });
};
