import type { Payload, PubSubError } from "@lanai/pubsub";
import { type RedisClient, run, unavailable } from "./client.ts";
import { Lane, type Load, type Outgoing, type Send } from "./lane.ts";
import type { Names } from "./names.ts";
import { newEpoch } from "./retained.ts";
import { SEND, SEND_SHARDED, STORE } from "./scripts.ts";
import type { StreamList } from "./stream-list.ts";

export interface OutboxOptions {
  readonly sharded: boolean;
  readonly timeout: number;
  readonly maxWaiting: number;
}

const MAX_WAITING_BYTES = 64 * 2 ** 20;

/**
 * What is published, on its way to Redis: a lane for each stream, and one for all that is plain, or
 * with sharded channels one for each while it is used.
 */
export class Outbox {
  readonly #redis: RedisClient;
  readonly #names: Names;
  readonly #list: StreamList;
  readonly #options: OutboxOptions;
  /** Names this publisher to Redis. */
  readonly #id = newEpoch();
  readonly #load: Load = { messages: 0, bytes: 0, batches: 0 };
  readonly #lanes = new Map<string, Lane>();
  readonly #plain: Lane;

  constructor(redis: RedisClient, names: Names, list: StreamList, options: OutboxOptions) {
    this.#redis = redis;
    this.#names = names;
    this.#list = list;
    this.#options = options;
    this.#plain = this.#lane(names.streams, (batch, name) => this.#sendPlain(batch, name));
  }

  publish(subject: string, data: Payload, messageId: string): Promise<void> {
    const { messages, bytes } = this.#load;
    if (messages >= this.#options.maxWaiting || bytes >= MAX_WAITING_BYTES) {
      return Promise.reject(unavailable(new Error(`${messages} messages wait to be published`)));
    }
    const deadline = performance.now() + this.#options.timeout;
    // Copied: the caller may use the array again.
    const kept = typeof data === "string" ? data : Buffer.from(data);
    return new Promise((resolve, reject) => {
      this.#push({ subject, data: kept, messageId, deadline, resolve, reject });
    });
  }

  /** Resolves when nothing is left. */
  async idle(): Promise<void> {
    for (const lane of this.#lanes.values()) await lane.idle();
  }

  /** Gives up what is left. */
  abandon(error: PubSubError): void {
    for (const lane of this.#lanes.values()) lane.abandon(error);
  }

  #push(message: Outgoing): void {
    this.#laneOf(message.subject).push(message);
  }

  #laneOf(subject: string): Lane {
    const stream = this.#list.retaining(subject);
    if (stream) {
      const { name } = stream;
      return this.#lane(this.#names.stream(name), (batch, id) => this.#store(name, batch, id));
    }
    if (!this.#options.sharded || this.#list.version === undefined) return this.#plain;
    const channel = this.#names.shard(subject);
    const send: Send = (batch, id) => this.#sendSharded(channel, batch, id);
    // There may be as many of them as there are users.
    return this.#lane(channel, send, () => this.#lanes.delete(channel));
  }

  #lane(key: string, send: Send, onRest?: () => void): Lane {
    let lane = this.#lanes.get(key);
    if (!lane) {
      lane = new Lane(this.#load, send, onRest);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  async #store(name: string, batch: readonly Outgoing[], id: string): Promise<undefined> {
    const { maxMsgs = 1, maxAge = 0 } = this.#list.get(name) ?? {};
    const key = this.#names.stream(name);
    const args: (string | Buffer)[] = [id, newEpoch(), `${maxMsgs}`];
    args.push(maxAge === Infinity ? "" : `${maxAge}`);
    args.push(this.#options.sharded ? "SPUBLISH" : "PUBLISH", this.#names.streamChannel(name));
    for (const { subject, data, messageId } of batch) args.push(subject, data, messageId);
    await run(this.#redis, STORE, [key, `${key}:meta`, `${key}:by:${this.#id}`], args);
  }

  async #sendPlain(
    batch: readonly Outgoing[],
    id: string,
  ): Promise<readonly Outgoing[] | undefined> {
    if (this.#list.version === undefined) await this.#list.load();
    const stays = batch.filter(({ subject }) => this.#laneOf(subject) === this.#plain);
    if (stays.length < batch.length) {
      const own = new Set(stays);
      for (const message of batch) if (!own.has(message)) this.#push(message);
      return stays;
    }
    const key = this.#names.streams;
    const args: (string | Buffer)[] = [id, this.#list.version ?? ""];
    for (const { subject, data } of batch) args.push(this.#names.channels + subject, data);
    const reply = await run(this.#redis, SEND, [key, `${key}:by:${this.#id}`], args);
    if (reply === null) return undefined;
    // There is a new stream, and some of these may be for it.
    await this.#list.load();
    return batch;
  }

  async #sendSharded(
    channel: string,
    batch: readonly Outgoing[],
    id: string,
  ): Promise<readonly Outgoing[] | undefined> {
    // Without the client's keyPrefix, which it puts before keys itself.
    const key = this.#names.keyOf(channel);
    const args: (string | Buffer)[] = [id, channel];
    for (const { subject, data } of batch) args.push(withSubject(subject, data));
    await run(this.#redis, SEND_SHARDED, [`${key}:by:${this.#id}`], args);
    return undefined;
  }
}

const withSubject = (subject: string, data: string | Buffer): string | Buffer =>
  typeof data === "string"
    ? `${subject}\n${data}`
    : Buffer.concat([Buffer.from(`${subject}\n`), data]);
