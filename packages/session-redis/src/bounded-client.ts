import { events } from "./events.ts";
import type { Script } from "./scripts.ts";

/** The part of ioredis that is used: a `Redis` or a `Cluster` of version 5.9 or 6. */
export interface RedisClient {
  readonly isCluster: boolean;
  call(command: string, ...args: string[]): Promise<unknown>;
  on?(event: "error", listener: () => void): unknown;
  listenerCount?(event: "error"): number;
  /** Only a cluster has it. */
  nodes?(role: "master"): readonly RedisNode[];
}

/** One server of a cluster, or the only one. */
export interface RedisNode {
  call(command: string, ...args: string[]): Promise<unknown>;
  readonly options?: { readonly host?: string | undefined; readonly port?: number | undefined };
}

/** The app's client, with replies that wait bounded in number and errors that hold no secret. */
export class BoundedClient {
  readonly isCluster: boolean;
  readonly #redis: RedisClient;
  readonly #maxWaiting: number;
  #waiting = 0;
  /** The servers whose policy is known, or being asked for. */
  readonly #checked = new Set<string>();
  #nextCheck = Number.NEGATIVE_INFINITY;

  constructor(redis: RedisClient, maxWaiting: number) {
    // A reply that belongs to no command is an event, which would end a process that doesn't listen.
    if (redis.listenerCount?.("error") === 0) redis.on?.("error", () => {});
    this.isCluster = redis.isCluster;
    this.#redis = redis;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Runs a script by its hash; a Redis that doesn't know it yet is sent the text. A script also to
   * read: a client may send other commands to replicas, which are behind.
   *
   * @throws a plain Error if Redis fails, or if too many replies are outstanding.
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

  /** The servers that hold the keys, each with a name, in the order of their names. */
  get nodes(): readonly (readonly [name: string, node: RedisNode])[] {
    if (!this.isCluster) return [["", this.#redis]];
    const nodes = this.#redis.nodes?.("master") ?? [];
    return nodes
      .map((node) => [`${node.options?.host}:${node.options?.port}`, node] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Sends a command to one server. @throws with a plain Error, as `run`. */
  sendTo(node: RedisNode, command: string, ...args: string[]): Promise<unknown> {
    return this.#send(1, command, args, node);
  }

  async #send(
    weight: number,
    command: string,
    args: string[],
    node: RedisNode = this.#redis,
  ): Promise<unknown> {
    if (this.#waiting + weight > this.#maxWaiting) {
      throw new Error(
        `redisStore: ${this.#waiting} replies of Redis are outstanding, which is the limit maxWaiting`,
      );
    }
    this.#waiting += weight;
    try {
      const answer = await node.call(command, ...args);
      if (performance.now() >= this.#nextCheck) this.#check();
      return answer;
    } catch (error) {
      throw withoutSecrets(error);
    } finally {
      this.#waiting -= weight;
    }
  }

  /**
   * Asks each server once whether it evicts. By `INFO`, because `CONFIG GET` is often forbidden. A server
   * whose answer was lost is asked again after a minute, and so is the master that a cluster has by then.
   */
  #check(): void {
    this.#nextCheck = performance.now() + CHECK_INTERVAL;
    for (const [name, node] of this.nodes) {
      if (this.#checked.has(name)) continue;
      this.#checked.add(name);
      node.call("INFO", "memory").then(reportPolicy, (error: unknown) => {
        // A user of an ACL may lack the right. Then nothing is known.
        if (!String((error as Error).message).startsWith("NOPERM")) this.#checked.delete(name);
      });
    }
  }
}

/** The time between two questions for what servers do when their memory is full, in milliseconds. */
const CHECK_INTERVAL = 60_000;

function reportPolicy(info: unknown): void {
  const policy = /^maxmemory_policy:(\S+)/m.exec(String(info))?.[1] ?? KEEPS_ALL;
  if (policy === KEEPS_ALL) return;
  events.report("evicting", policy, {
    level: "warn",
    reason: policy,
    message: `Redis deletes sessions and lists of a user's sessions when its memory is full, so that a sign-out everywhere misses some: set its maxmemory-policy to ${KEEPS_ALL}, it is ${policy}`,
  });
}

/** The policy of a server for full memory: any other ends sessions, and removes owners' lists. */
const KEEPS_ALL = "noeviction";

/** The client's errors carry the command with its keys and values, and some messages quote them. */
export function withoutSecrets(error: unknown): Error {
  const { message, code } = error as { message?: unknown; code?: unknown };
  const [text] = String(message).split(", with args beginning with");
  return Object.assign(new Error(text), typeof code === "string" && { code });
}
