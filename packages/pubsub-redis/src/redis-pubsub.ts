import type { Message, PubSub, PubSubError, StreamConfig, Streams } from "@lanai/pubsub";
import {
  ConcurrentEnsures,
  closedError,
  emitEvent,
  Inbox,
  notRetained,
  type StreamSettings,
  streamOf,
  streamSettings,
  validateHistory,
  validatePublish,
  validateSubscribe,
} from "@lanai/pubsub/backend";
import { type RedisPubSubOptions, settingsOf } from "./options.ts";
import { Publisher } from "./publishing/publisher.ts";
import { type RedisClient, within } from "./redis/client.ts";
import { RedisNames } from "./redis/names.ts";
import { StoredStream } from "./streams/stored-stream.ts";
import type { CatchUp } from "./subscribing/catch-up.ts";
import { Subscriptions } from "./subscribing/subscriptions.ts";

/** A pub/sub backend on Redis or Valkey, which retains messages in Redis streams. */
export interface RedisPubSub extends PubSub, Streams {}

/**
 * Pub/sub through Redis 6.2 or later, or Valkey, by a client of ioredis that the app has made:
 * standalone, by Sentinel, or a cluster. Publishing and reading go through that client; for
 * subscribing it makes a connection of its own, at the first call, which `close` ends.
 *
 * Retained messages live as long as the data of Redis. Its `maxmemory-policy` must be `noeviction`:
 * with any other, Redis removes history when memory is short.
 *
 * @throws TypeError or RangeError for an option that is unknown or out of range, and for a client that
 * can't keep a promise.
 */
export function redisPubSub(redis: RedisClient, options: RedisPubSubOptions = {}): RedisPubSub {
  return new RedisBackend(redis, settingsOf(redis, options));
}

class RedisBackend implements RedisPubSub {
  readonly #redis: RedisClient;
  readonly #timeout: number;
  readonly #names: RedisNames;
  readonly #subscriptions: Subscriptions;
  readonly #publisher: Publisher;
  readonly #ensuring = new ConcurrentEnsures();
  /** Ends the calls that are under way. */
  readonly #pending = new Set<(error: PubSubError) => void>();
  #closing: Promise<void> | undefined;

  constructor(redis: RedisClient, options: Required<RedisPubSubOptions>) {
    const { keyPrefix = "" } = redis.options as { keyPrefix?: string };
    this.#redis = redis;
    this.#timeout = options.timeout;
    this.#names = new RedisNames(options.prefix, keyPrefix);
    this.#subscriptions = new Subscriptions(redis, this.#names, options);
    this.#publisher = new Publisher(redis, this.#names, this.#subscriptions.list, options);
  }

  publish: PubSub["publish"] = async (subject, data, options) => {
    this.#mustBeOpen();
    validatePublish(subject, data, options);
    this.#subscriptions.start();
    await this.#publisher.publish(subject, data, options?.messageId ?? "");
  };

  subscribe: PubSub["subscribe"] = async (subject, handler, options = {}) => {
    this.#mustBeOpen();
    validateSubscribe(subject, handler, options);
    this.#subscriptions.validate(subject);
    this.#subscriptions.start();
    let catchUp: CatchUp | undefined;
    const leave = () => catchUp && this.#subscriptions.remove(catchUp);
    const inbox = new Inbox({ subject, handler, options, leave });
    if (inbox.status === "closed") return inbox;
    catchUp = this.#subscriptions.add(subject, inbox);
    try {
      const begun = this.#subscriptions.begin(catchUp, options);
      await this.#bounded(Promise.race([begun, inbox.closed]));
    } catch (error) {
      void inbox.unsubscribe();
      throw error;
    }
    return inbox;
  };

  ensureStream: Streams["ensureStream"] = async (config: StreamConfig) => {
    this.#mustBeOpen();
    const settings = streamSettings(config);
    this.#subscriptions.start();
    await this.#ensuring.run(settings, () => this.#bounded(this.#ensure(settings)));
    emitEvent("stream", { level: "info", subject: settings.name });
  };

  history: Streams["history"] = async (subject, limit, range = {}) => {
    this.#mustBeOpen();
    validateHistory(subject, limit, range);
    return this.#bounded(this.#history(subject, limit, range.since));
  };

  close: PubSub["close"] = () => {
    this.#closing ??= this.#close();
    return this.#closing;
  };

  async #ensure(settings: StreamSettings): Promise<void> {
    await this.#subscriptions.list.ensure(settings);
    // What the limits no longer allow goes now, and who publishes by an older list is told.
    await this.#stored(settings.name)?.head();
  }

  #stored(name: string): StoredStream | undefined {
    const { list } = this.#subscriptions;
    const stream = [...list.all()].find((it) => it.name === name);
    return stream && new StoredStream(this.#redis, this.#names, this.#timeout, stream);
  }

  async #history(subject: string, limit: number, since?: string): Promise<Message[]> {
    const { list } = this.#subscriptions;
    await list.load();
    const retaining = streamOf(list.all(), subject);
    const stored = retaining && this.#stored(retaining.name);
    if (!stored) throw notRetained(subject);
    return since === undefined ? stored.last(subject, limit) : stored.after(subject, limit, since);
  }

  async #close(): Promise<void> {
    await within(this.#timeout, this.#publisher.idle()).catch(() => {});
    this.#publisher.close(closedError());
    for (const reject of this.#pending) reject(closedError());
    await this.#subscriptions.close();
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  /** Rejects after the timeout, or when the backend is closed. */
  async #bounded<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#pending.add(reject);
    try {
      return await within(this.#timeout, Promise.race([work, promise]));
    } finally {
      this.#pending.delete(reject);
    }
  }
}
