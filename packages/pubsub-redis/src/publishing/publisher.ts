import type { Payload, PubSubError } from "@lanai/pubsub";
import { isCluster, type RedisClient, run, unavailable } from "../redis/client.ts";
import { watchConnections } from "../redis/connections.ts";
import type { RedisNames } from "../redis/names.ts";
import { PUBLISH } from "../redis/scripts.ts";
import { limitsOf, newEpoch } from "../streams/stored-stream.ts";
import type { ListedStream, StreamList } from "../streams/stream-list.ts";
import { type Outgoing, PublishQueue, type QueueTotals, type Sent } from "./publish-queue.ts";

export interface PublisherOptions {
  readonly sharded: boolean;
  readonly timeout: number;
  readonly maxWaiting: number;
}

const MAX_WAITING_BYTES = 64 * 2 ** 20;

/**
 * The place that a queue sends to, which one script can reach. `everywhere` is a single server;
 * `channels` are the plain channels of a cluster, which one node publishes; `stream` and `shard` are
 * slots of a cluster.
 */
type Target =
  | { readonly to: "everywhere" | "channels" }
  | { readonly to: "stream"; readonly name: string }
  | { readonly to: "shard"; readonly channel: string };

/** A subject of which messages are on their way: the queue of the last one, and how many there are. */
interface OnItsWay {
  target: Target;
  messages: number;
}

/**
 * Sends published messages to Redis.
 *
 * On a server alone there is one queue, so that all messages of this publisher stay in order. On a
 * cluster there is one for each stream and one for all that is plain, or with sharded channels one
 * for each while it is used: messages of one subject stay in order. If a subject gets another queue,
 * its messages wait in the old one until those before them are done.
 */
export class Publisher {
  readonly #redis: RedisClient;
  readonly #names: RedisNames;
  readonly #list: StreamList;
  readonly #options: PublisherOptions;
  /** RedisNames this publisher to Redis. */
  readonly #id = newEpoch();
  readonly #totals: QueueTotals = { messages: 0, bytes: 0, batches: 0 };
  readonly #queues = new Map<string, PublishQueue>();
  readonly #stopWatching: () => void;
  /** The number of times that a connection was lost. */
  #losses = 0;
  /** On a cluster, by subject. */
  readonly #onTheirWay = new Map<string, OnItsWay>();

  constructor(redis: RedisClient, names: RedisNames, list: StreamList, options: PublisherOptions) {
    this.#redis = redis;
    this.#names = names;
    this.#list = list;
    this.#options = options;
    this.#stopWatching = watchConnections(redis, () => this.#reconnected());
  }

  publish(subject: string, data: Payload, messageId: string): Promise<void> {
    const { messages, bytes } = this.#totals;
    if (messages >= this.#options.maxWaiting || bytes >= MAX_WAITING_BYTES) {
      return Promise.reject(unavailable(new Error(`${messages} messages wait to be published`)));
    }
    const deadline = performance.now() + this.#options.timeout;
    // Copied: the caller may use the array again.
    const kept = typeof data === "string" ? data : Buffer.from(data);
    return new Promise((resolve, reject) => {
      const message = { subject, data: kept, messageId, deadline, resolve, reject };
      this.#queueFor(message).push(message);
    });
  }

  /** Resolves when nothing is left. */
  async idle(): Promise<void> {
    for (const queue of this.#queues.values()) await queue.idle();
  }

  /** Gives up what is left, and everything else. */
  close(error: PubSubError): void {
    this.#stopWatching();
    for (const queue of this.#queues.values()) queue.abandon(error);
  }

  #queueFor({ subject }: Outgoing): PublishQueue {
    if (!isCluster(this.#redis)) return this.#queue(EVERYWHERE);
    const before = this.#onTheirWay.get(subject);
    const target = before?.target ?? this.#targetOf(subject);
    if (before) before.messages += 1;
    else this.#onTheirWay.set(subject, { target, messages: 1 });
    return this.#queue(target);
  }

  #targetOf(subject: string): Target {
    if (!isCluster(this.#redis)) return EVERYWHERE;
    const found = this.#list.find(subject);
    if (found) return { to: "stream", name: found.stream.name };
    if (!this.#options.sharded || this.#list.version === undefined) return { to: "channels" };
    return { to: "shard", channel: this.#names.shard(subject) };
  }

  #queue(target: Target): PublishQueue {
    const key = this.#keyOf(target);
    let queue = this.#queues.get(key);
    if (!queue) {
      queue = new PublishQueue({
        send: (batch, number, floor) => this.#send(target, batch, number, floor),
        totals: this.#totals,
        // There may be as many shards as users: a command more for each, that is not worth it.
        opens: target.to !== "shard",
        ...(isCluster(this.#redis) && { onLeft: this.#left }),
        ...(target.to === "shard" && { onRest: () => this.#queues.delete(key) }),
      });
      this.#queues.set(key, queue);
    }
    return queue;
  }

  /** A key in the slot of all that the target's script touches. */
  #keyOf(target: Target): string {
    if (target.to === "stream") return this.#names.stream(target.name);
    // Without the client's keyPrefix, which it puts before keys itself.
    return target.to === "shard" ? this.#names.keyOf(target.channel) : this.#names.streams;
  }

  #reconnected(): void {
    this.#losses += 1;
    for (const queue of this.#queues.values()) queue.reopen();
  }

  readonly #left = ({ subject }: Outgoing): void => {
    const onItsWay = this.#onTheirWay.get(subject);
    if (!onItsWay) return;
    onItsWay.messages -= 1;
    if (onItsWay.messages === 0) this.#onTheirWay.delete(subject);
  };

  async #send(
    target: Target,
    batch: readonly Outgoing[],
    number: number,
    floor: number,
  ): Promise<Sent> {
    if (this.#list.version === undefined) await this.#list.load();
    const left = this.#moveOthers(target, batch);
    if (left.length < batch.length) return { is: "unsent", left };
    const key = this.#keyOf(target);
    const [keys, args] = this.#compose(batch);
    const losses = this.#losses;
    const isListed = batch.length > 0 && (target.to === "everywhere" || target.to === "channels");
    const reply = await run(
      this.#redis,
      PUBLISH,
      [`${key}:by:${this.#id}`, ...(isListed ? [this.#names.streams] : []), ...keys],
      [`${number}`, `${floor}`, this.#list.version ?? "", ...args],
    );
    if (reply === null) return { is: "done" };
    if (Array.isArray(reply)) return { is: "done", failed: failuresOf(reply.map(String)) };
    const is = String(reply);
    // Without a lost connection the client has sent the batch once: it was not done.
    if (is === "lost" && losses === this.#losses) return { is: "unsent", left: batch, isNew: true };
    if (is === "lost" || is === "forgot") return { is };
    // There is a new stream, or another has other subjects.
    await this.#list.load();
    return { is: "unsent", left: batch };
  }

  /** Moves messages whose subject has another queue by now, and returns the others. */
  #moveOthers(target: Target, batch: readonly Outgoing[]): readonly Outgoing[] {
    if (!isCluster(this.#redis)) return batch;
    const key = this.#keyOf(target);
    const from = this.#queue(target);
    const left: Outgoing[] = [];
    for (const message of batch) {
      const { subject } = message;
      const other = this.#targetOf(subject);
      if (this.#keyOf(other) === key) {
        left.push(message);
        continue;
      }
      this.#queue(other).push(message);
      // Whatever is published now comes behind the last that waits here.
      const onItsWay = this.#onTheirWay.get(subject);
      if (onItsWay && !from.hasWaiting(subject)) onItsWay.target = other;
    }
    return left;
  }

  /** The keys and arguments of the script for a batch, behind those that name the batch. */
  #compose(
    batch: readonly Outgoing[],
  ): readonly [keys: readonly string[], args: readonly (string | Buffer)[]] {
    const streams = new Map<ListedStream, number>();
    const messages: (string | Buffer)[] = [];
    for (const { subject, data, messageId } of batch) {
      const found = this.#list.find(subject);
      if (!found) {
        messages.push("", ...this.#plainOf(subject, data), "");
        continue;
      }
      const index = streams.get(found.stream) ?? streams.size + 1;
      streams.set(found.stream, index);
      messages.push(`${found.isStored ? index : -index}`, subject, data, messageId);
    }
    const keys: string[] = [];
    const settings: string[] = [];
    for (const stream of streams.keys()) {
      const key = this.#names.stream(stream.name);
      keys.push(key, `${key}:meta`);
      settings.push(newEpoch(), `${stream.revision}`, ...limitsOf(stream));
      settings.push(this.#names.streamChannel(stream.name));
    }
    return [
      keys,
      [this.#options.sharded ? "SPUBLISH" : "PUBLISH", `${streams.size}`, ...settings, ...messages],
    ];
  }

  #plainOf(subject: string, data: string | Buffer): readonly [string, string | Buffer] {
    if (!this.#options.sharded) return [this.#names.channels + subject, data];
    const line = `${subject}\n`;
    const framed =
      typeof data === "string" ? line + data : Buffer.concat([Buffer.from(line), data]);
    return [this.#names.shard(subject), framed];
  }
}

/** Reads a list of places and reasons. */
function failuresOf(reply: readonly string[]): ReadonlyMap<number, string> {
  const failures = new Map<number, string>();
  for (let n = 0; n < reply.length; n += 2) failures.set(Number(reply[n]), reply[n + 1] ?? "");
  return failures;
}

const EVERYWHERE: Target = { to: "everywhere" };
