import { type Cancel, repeat } from "@lanai/connection/deadline";
import type { SubscribeOptions } from "@lanai/pubsub";
import { emitEvent, type Inbox, notRetained, overlaps, streamOf } from "@lanai/pubsub/backend";
import type { RedisPubSubOptions } from "../options.ts";
import { type RedisClient, unavailable } from "../redis/client.ts";
import type { RedisNames } from "../redis/names.ts";
import { StoredStream } from "../streams/stored-stream.ts";
import { StreamChannel } from "../streams/stream-channel.ts";
import { type ListedStream, StreamList } from "../streams/stream-list.ts";
import { CatchUp } from "./catch-up.ts";
import { Channels } from "./channels.ts";

/** Before the list of streams is read again after a failure, in milliseconds. */
const RETRY_DELAY = 1_000;

/**
 * All subscriptions of this process, and the channels of streams that they hear. Each subscription
 * hears one plain channel, and every stream that retains some of its subject now or did so once: that
 * is decided again whenever the list of streams changes.
 */
export class Subscriptions {
  readonly list: StreamList;
  readonly #redis: RedisClient;
  readonly #names: RedisNames;
  readonly #options: Required<RedisPubSubOptions>;
  readonly #channels: Channels;
  readonly #all = new Set<CatchUp>();
  /** The streams that are heard, by their names. */
  readonly #streams = new Map<string, StreamChannel>();
  #stopChecking: Cancel | undefined;
  #isClosed = false;

  constructor(redis: RedisClient, names: RedisNames, options: Required<RedisPubSubOptions>) {
    this.#redis = redis;
    this.#names = names;
    this.#options = options;
    this.list = new StreamList(redis, names, options.timeout, (stream) => this.#changed(stream));
    this.#channels = new Channels(redis, names, options);
  }

  /** Begins to hear of changes of the streams, at the first call of anything. */
  start(): void {
    if (this.#stopChecking) return;
    this.#stopChecking = repeat(
      this.#options.pingInterval,
      () => {
        for (const stream of this.#streams.values()) stream.check().catch(() => {});
      },
      { unref: true },
    );
    this.#channels.add("subscribe", this.#names.streamsChannel, {
      message: () => this.#refresh(),
      subscribed: () => this.#refresh(),
      lost: () => {},
      refused: (error) => emitEvent("error", { level: "error", error: unavailable(error) }),
    });
  }

  /** @throws PubSubError `ERR_PUBSUB_SUBJECT` for a subject that can't be subscribed on this wire. */
  validate(subject: string): void {
    this.#channels.mustBeReachable(subject);
  }

  /** Adds a subscription; {@link begin} makes it hear. */
  add(subject: string, inbox: Inbox): CatchUp {
    const catchUp = new CatchUp({
      subject,
      inbox,
      plain: this.#channels.plainFor(subject),
      isRetained: () => streamOf(this.list.all(), subject) !== undefined,
      fence: ({ name }) => this.#channels.fence(this.#kind, name),
    });
    catchUp.plain.add(catchUp);
    this.#all.add(catchUp);
    return catchUp;
  }

  /** Resolves when what is published afterwards is delivered. */
  async begin(catchUp: CatchUp, options: SubscribeOptions): Promise<void> {
    const { inbox, subject } = catchUp;
    const { since, replay = 0 } = options;
    await this.list.load();
    if (inbox.status === "closed") return;
    const concerned = [...this.list.all()].filter((stream) => concerns(stream, subject));
    const retaining = streamOf(concerned, subject);
    if (!retaining && (since || replay > 0)) throw notRetained(subject);
    const channels = concerned.map((stream) => this.#channelOf(stream));
    for (const channel of channels) channel.add(catchUp);
    const inside = retaining && this.#channelOf(retaining);
    if (inside) {
      const others = channels.filter((channel) => channel !== inside);
      await catchUp.beginInside(inside, others, options);
    } else {
      await catchUp.begin(channels);
    }
    // Those that have come into being meanwhile.
    for (const stream of this.list.all()) this.#join(catchUp, stream);
  }

  /** Resolves when nothing is left of the subscription at the server. */
  async remove(catchUp: CatchUp): Promise<void> {
    this.#all.delete(catchUp);
    catchUp.plain.delete(catchUp);
    const released = [this.#channels.release(catchUp.plain)];
    for (const [name, channel] of this.#streams) {
      channel.delete(catchUp);
      if (!channel.isUnused) continue;
      this.#streams.delete(name);
      released.push(this.#channels.remove(this.#kind, channel.name));
    }
    await Promise.all(released);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopChecking?.();
    const ended = [...this.#all].map(({ inbox }) => inbox.unsubscribe());
    this.#channels.close();
    await Promise.all(ended);
  }

  #refresh(): void {
    this.list.load().catch((error) => {
      if (this.#isClosed) return;
      emitEvent("error", { level: "warn", error });
      setTimeout(() => this.#isClosed || this.#refresh(), RETRY_DELAY).unref();
    });
  }

  #changed(stream: ListedStream): void {
    const channel = this.#streams.get(stream.name);
    if (channel) channel.stored.settings = stream;
    for (const catchUp of this.#all) if (catchUp.hasBegun) this.#join(catchUp, stream);
  }

  #join(catchUp: CatchUp, stream: ListedStream): void {
    if (catchUp.inbox.status === "closed" || !concerns(stream, catchUp.subject)) return;
    const channel = this.#channelOf(stream);
    if (!catchUp.hears(channel)) catchUp.join(channel);
  }

  #channelOf(stream: ListedStream): StreamChannel {
    let channel = this.#streams.get(stream.name);
    if (!channel) {
      const stored = new StoredStream(this.#redis, this.#names, this.#options.timeout, stream);
      channel = new StreamChannel(stored, this.#names.streamChannel(stream.name));
      this.#streams.set(stream.name, channel);
      this.#channels.add(this.#kind, channel.name, channel);
    }
    return channel;
  }

  get #kind(): "subscribe" | "ssubscribe" {
    return this.#options.sharded ? "ssubscribe" : "subscribe";
  }
}

/** Whether a stream retains some of a subject or pattern, or did so once. */
function concerns({ subjects, former }: ListedStream, subject: string): boolean {
  return [...subjects, ...former].some((it) => overlaps(it, subject));
}
