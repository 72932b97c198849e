import type {
  Message,
  PubSub,
  PubSubError,
  StreamConfig,
  Streams,
  SubscribeOptions,
} from "@lanai/pubsub";
import {
  closedError,
  emitEvent,
  Inbox,
  knownOptions,
  matchesSubject,
  notRetained,
  numberOption,
  overlaps,
  type StreamSettings,
  streamOf,
  streamSettings,
  validateHistory,
  validatePublish,
  validateSubscribe,
} from "@lanai/pubsub/backend";
import { isRedisClient, type RedisClient, unavailable, within } from "./client.ts";
import type { Listener } from "./link.ts";
import { luaPattern } from "./lua-pattern.ts";
import { Names } from "./names.ts";
import { Outbox } from "./outbox.ts";
import { messageOf, Retained } from "./retained.ts";
import { StreamList } from "./stream-list.ts";
import { Sync } from "./sync.ts";
import { Wiring } from "./wiring.ts";

export interface RedisPubSubOptions {
  /**
   * What the channels and keys begin with, so that several apps can share one Redis. No braces: on a
   * cluster they say where a key is. Default: `lanai:`.
   */
  readonly prefix?: string;
  /**
   * Sharded channels (Redis 7, Cluster): a message goes to one node of the cluster instead of to
   * all. The first token of a subscription must then be literal. Default: `false`.
   */
  readonly sharded?: boolean;
  /**
   * How many wildcard subscriptions have a pattern of their own in Redis; those beyond share one for
   * their first token, and beyond as many of these, one for everything. Redis compares each message
   * with each pattern of each process. With 0 there is one pattern in all, `<prefix>[^$]*`, which is
   * also all that an ACL then has to allow. From 0 to 1,000. Default: 8.
   */
  readonly maxPatterns?: number;
  /**
   * After how many milliseconds without an answer a call rejects with `ERR_PUBSUB_UNAVAILABLE`. From
   * 100. Default: 5,000.
   */
  readonly timeout?: number;
  /**
   * How often the connection for subscribing is asked whether it lives, and the streams whether
   * something was missed, in milliseconds. From 100. Default: 15,000.
   */
  readonly pingInterval?: number;
  /**
   * How many messages may wait to be published; those beyond are refused at once. Together they hold
   * at most 64 MiB, or one message. From 1. Default: 100,000.
   */
  readonly maxWaiting?: number;
}

export interface RedisPubSub extends PubSub, Streams {}

const OPTIONS = [
  "prefix",
  "sharded",
  "maxPatterns",
  "timeout",
  "pingInterval",
  "maxWaiting",
] as const satisfies readonly (keyof RedisPubSubOptions)[];

/** Before the list of streams is asked for again, in milliseconds. */
const RETRY_DELAY = 1_000;

/**
 * Pub/sub through Redis 6.2 or later, or Valkey, by a client of ioredis that the app has made:
 * standalone, by Sentinel, or a cluster. Publishing and reading go through that client; for
 * subscribing it makes a connection of its own, at the first call, which `close` ends.
 *
 * What a stream retains lives as long as the data of Redis. Its `maxmemory-policy` must be
 * `noeviction`: any other takes history away.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range.
 */
export const redisPubSub = (redis: RedisClient, options: RedisPubSubOptions = {}): RedisPubSub =>
  new Backend(redis, checked(redis, options));

class Backend implements RedisPubSub {
  readonly #redis: RedisClient;
  readonly #options: Required<RedisPubSubOptions>;
  readonly #names: Names;
  readonly #list: StreamList;
  readonly #wiring: Wiring;
  readonly #outbox: Outbox;
  readonly #syncs = new Set<Sync>();
  /** The streams that are heard. */
  readonly #streams = new Map<string, Retained>();
  /** Calls under way, to be ended by `close`. */
  readonly #pending = new Set<(error: PubSubError) => void>();
  #checking: NodeJS.Timeout | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor(redis: RedisClient, options: Required<RedisPubSubOptions>) {
    const { keyPrefix = "" } = redis.options as { keyPrefix?: string };
    this.#redis = redis;
    this.#options = options;
    this.#names = new Names(options.prefix, keyPrefix);
    this.#list = new StreamList(redis, this.#names, options.timeout, (it) => this.#learn(it));
    this.#wiring = new Wiring(redis, this.#names, options);
    this.#outbox = new Outbox(redis, this.#names, this.#list, options);
  }

  publish: PubSub["publish"] = (subject, data, options) => {
    try {
      this.#mustBeOpen();
      validatePublish(subject, data, options);
      this.#start();
      return this.#outbox.publish(subject, data, options?.messageId ?? "");
    } catch (error) {
      return Promise.reject(error);
    }
  };

  subscribe: PubSub["subscribe"] = async (subject, handler, options = {}) => {
    this.#mustBeOpen();
    validateSubscribe(subject, handler, options);
    this.#wiring.mustBeReachable(subject);
    this.#start();
    let sync: Sync | undefined;
    const leave = () => sync && this.#leave(sync);
    const inbox = new Inbox({ subject, handler, options, leave });
    if (inbox.status === "closed") return inbox;
    const isInside = () => streamOf(this.#list.all(), subject) !== undefined;
    sync = new Sync(subject, inbox, this.#wiring.route(subject), isInside);
    sync.route.add(sync);
    this.#syncs.add(sync);
    try {
      await this.#bounded(Promise.race([this.#begin(sync, options), inbox.closed]));
    } catch (error) {
      void inbox.unsubscribe();
      throw error;
    }
    return inbox;
  };

  ensureStream: Streams["ensureStream"] = async (config: StreamConfig) => {
    this.#mustBeOpen();
    const settings = streamSettings(config);
    this.#start();
    await this.#bounded(this.#ensure(settings));
    emitEvent("stream", { level: "info", subject: settings.name });
  };

  history: Streams["history"] = async (subject, limit) => {
    this.#mustBeOpen();
    validateHistory(subject, limit);
    return this.#bounded(this.#history(subject, limit));
  };

  close: PubSub["close"] = () => {
    this.#closing ??= this.#close();
    return this.#closing;
  };

  /** At the first call: from then on it hears of new streams. */
  #start(): void {
    if (this.#checking) return;
    this.#checking = setInterval(() => {
      for (const stream of this.#streams.values()) stream.check().catch(() => {});
    }, this.#options.pingInterval).unref();
    const list: Listener = {
      message: () => this.#refresh(),
      wired: () => this.#refresh(),
      lost: () => {},
      refused: (error) => emitEvent("error", { level: "error", error: unavailable(error) }),
    };
    this.#wiring.add("subscribe", this.#names.streamsChannel, list);
  }

  #refresh(): void {
    this.#list.load().catch((error) => {
      if (this.#isClosed) return;
      emitEvent("error", { level: "warn", error });
      setTimeout(() => this.#isClosed || this.#refresh(), RETRY_DELAY).unref();
    });
  }

  async #begin(sync: Sync, options: SubscribeOptions): Promise<void> {
    const { inbox, subject } = sync;
    const { since, replay = 0 } = options;
    await this.#list.load();
    if (inbox.status === "closed") return;
    const heard = [...this.#list.all()].filter((stream) => concerns(stream, subject));
    const inside = streamOf(heard, subject);
    if (!inside && (since || replay > 0)) throw notRetained(subject);
    const streams = heard.map((settings) => this.#stream(settings));
    for (const stream of streams) stream.add(sync);
    const [only] = streams;
    if (inside && only) await sync.beginInside(only, options);
    else await sync.begin(streams);
    // Those that have come into being meanwhile.
    for (const settings of this.#list.all()) this.#join(sync, settings);
  }

  #learn(settings: StreamSettings): void {
    const stream = this.#streams.get(settings.name);
    if (stream) stream.settings = settings;
    for (const sync of this.#syncs) if (sync.hasBegun) this.#join(sync, settings);
  }

  #join(sync: Sync, settings: StreamSettings): void {
    if (sync.inbox.status === "closed" || !concerns(settings, sync.subject)) return;
    const stream = this.#stream(settings);
    if (!sync.hears(stream)) sync.join(stream);
  }

  #stream(settings: StreamSettings): Retained {
    let stream = this.#streams.get(settings.name);
    if (!stream) {
      stream = this.#reader(settings);
      this.#streams.set(settings.name, stream);
      this.#wiring.add(this.#kind, stream.channel, stream);
    }
    return stream;
  }

  get #kind(): "subscribe" | "ssubscribe" {
    return this.#options.sharded ? "ssubscribe" : "subscribe";
  }

  async #leave(sync: Sync): Promise<void> {
    this.#syncs.delete(sync);
    sync.route.delete(sync);
    const gone = [this.#wiring.release(sync.route)];
    for (const stream of this.#streams.values()) {
      stream.delete(sync);
      if (!stream.isUnused) continue;
      this.#streams.delete(stream.name);
      gone.push(this.#wiring.remove(this.#kind, stream.channel));
    }
    await Promise.all(gone);
  }

  async #ensure(settings: StreamSettings): Promise<void> {
    await this.#list.ensure(settings);
    // What the limits no longer allow goes now.
    await this.#reader(settings).head();
  }

  #reader(settings: StreamSettings): Retained {
    return new Retained(this.#redis, this.#names, this.#options.timeout, settings);
  }

  async #history(subject: string, limit: number): Promise<Message[]> {
    await this.#list.load();
    const settings = streamOf(this.#list.all(), subject);
    if (!settings) throw notRetained(subject);
    if (limit === 0) return [];
    const stream = this.#reader(settings);
    const pattern = luaPattern(subject);
    const head = await stream.head();
    let from = await stream.lookBack(head, pattern, limit);
    const messages: Message[] = [];
    for (;;) {
      const page = await stream.read(from, pattern);
      for (const stored of page.messages) {
        if (stored.count > head.count) return messages;
        if (!matchesSubject(subject, stored.subject)) continue;
        messages.push(messageOf(page.last.epoch, stored, true));
      }
      if (page.isEnd || page.isUnknown || page.last.count >= head.count) return messages;
      from = page.last;
    }
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    await within(this.#options.timeout, this.#outbox.idle()).catch(() => {});
    this.#outbox.abandon(closedError());
    for (const reject of this.#pending) reject(closedError());
    clearInterval(this.#checking);
    const ended = [...this.#syncs].map(({ inbox }) => inbox.unsubscribe());
    this.#wiring.close();
    await Promise.all(ended);
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }

  /** Rejects after the time-out, or when the backend is closed. */
  async #bounded<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#pending.add(reject);
    try {
      return await within(this.#options.timeout, Promise.race([work, promise]));
    } finally {
      this.#pending.delete(reject);
    }
  }
}

const concerns = ({ subjects }: StreamSettings, subject: string): boolean =>
  subjects.some((it) => overlaps(it, subject));

const checked = (redis: RedisClient, options: RedisPubSubOptions): Required<RedisPubSubOptions> => {
  if (!isRedisClient(redis)) {
    throw new TypeError("redisPubSub: the first argument must be a Redis or a Cluster of ioredis");
  }
  knownOptions("redisPubSub", options, OPTIONS);
  const { prefix = "lanai:", sharded = false } = options;
  if (typeof prefix !== "string" || /[{}\s]/.test(prefix)) {
    throw new TypeError(
      `redisPubSub: prefix must be a string without braces and spaces, got ${JSON.stringify(prefix)}`,
    );
  }
  if (typeof sharded !== "boolean") {
    throw new TypeError(`redisPubSub: sharded must be a boolean, got ${typeof sharded}`);
  }
  const integer = (name: "maxPatterns" | "timeout" | "pingInterval" | "maxWaiting") => {
    const [fallback, least, most] = BOUNDS[name];
    return numberOption("redisPubSub", name, options[name], { least, most, fallback });
  };
  return {
    prefix,
    sharded,
    maxPatterns: integer("maxPatterns"),
    timeout: integer("timeout"),
    pingInterval: integer("pingInterval"),
    maxWaiting: integer("maxWaiting"),
  };
};

/** A default, and from where to where. The last that a timer takes is 2 ** 31 - 1 milliseconds. */
const BOUNDS = {
  maxPatterns: [8, 0, 1_000],
  timeout: [5_000, 100, 2 ** 31 - 1],
  pingInterval: [15_000, 100, 2 ** 31 - 1],
  maxWaiting: [100_000, 1, 10_000_000],
} as const;
