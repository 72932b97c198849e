import { PubSubError } from "@lanai/pubsub";
import { emitEvent, isPattern } from "@lanai/pubsub/backend";
import {
  isCluster,
  type RedisClient,
  type RedisClusterClient,
  type RedisNode,
} from "../redis/client.ts";
import type { RedisNames } from "../redis/names.ts";
import { slotOf } from "../redis/slot.ts";
import { PlainChannel } from "./channel.ts";
import {
  type ChannelKind,
  type ChannelListener,
  type Subscriber,
  SubscriberConnection,
} from "./subscriber-connection.ts";

export interface ChannelsOptions {
  readonly sharded: boolean;
  readonly maxPatterns: number;
  readonly timeout: number;
  readonly pingInterval: number;
}

/**
 * The channels that this process has subscribed in Redis. However many subscriptions it has, it
 * subscribes each channel once, and no more than `2 * maxPatterns + 1` patterns.
 */
export class Channels {
  readonly #redis: RedisClient;
  readonly #names: RedisNames;
  readonly #options: ChannelsOptions;
  readonly #plain = new Map<string, PlainChannel>();
  /** The patterns in use: those of a single subscription, and those for one first token. */
  readonly #patterns = { own: new Set<PlainChannel>(), wide: new Set<PlainChannel>() };
  /** The channels by the node of the cluster; one that is for no node in particular has no name. */
  readonly #connections = new Map<string, SubscriberConnection>();

  constructor(redis: RedisClient, names: RedisNames, options: ChannelsOptions) {
    this.#redis = redis;
    this.#names = names;
    this.#options = options;
  }

  /** @throws PubSubError `ERR_PUBSUB_SUBJECT` */
  mustBeReachable(subject: string): void {
    if (!this.#options.sharded || !isPattern(subject.split(".", 1)[0] ?? "")) return;
    throw new PubSubError(
      "ERR_PUBSUB_SUBJECT",
      "with sharded channels the first token of a subscription must be literal, at index 0",
      { index: 0 },
    );
  }

  /** Returns the channel by which a subscription hears plain messages, from now to its end. */
  plainFor(subject: string): PlainChannel {
    if (this.#options.sharded) return this.#open("ssubscribe", this.#names.shard(subject));
    if (!isPattern(subject)) return this.#open("subscribe", this.#names.channels + subject);
    const { own, wide } = this.#patterns;
    const [first = ""] = subject.split(".", 1);
    return (
      this.#pattern(this.#names.glob(subject), own) ??
      (isPattern(first) ? undefined : this.#pattern(this.#names.glob(`${first}.>`), wide)) ??
      this.#open("psubscribe", this.#names.glob(">"))
    );
  }

  /** Resolves when the channel is unsubscribed, if nobody here needs it. */
  async release(channel: PlainChannel): Promise<void> {
    if (!channel.isUnused) return;
    const key = keyOf(channel.kind, channel.name);
    if (this.#plain.get(key) !== channel) return;
    this.#plain.delete(key);
    this.#patterns.own.delete(channel);
    this.#patterns.wide.delete(channel);
    await this.remove(channel.kind, channel.name);
  }

  add(kind: ChannelKind, name: string, listener: ChannelListener): void {
    this.#connectionFor(kind, name).add(kind, name, listener);
  }

  async remove(kind: ChannelKind, name: string): Promise<void> {
    await Promise.all(
      [...this.#connections.values()].map((connection) => connection.remove(kind, name)),
    );
  }

  /** Resolves when all has come that was published before the call, and passed by a channel's server. */
  async fence(kind: ChannelKind, name: string): Promise<void> {
    await this.#connectionFor(kind, name).fence();
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  #pattern(glob: string, some: Set<PlainChannel>): PlainChannel | undefined {
    const known = this.#plain.get(keyOf("psubscribe", glob));
    if (known) return known;
    if (some.size >= this.#options.maxPatterns) return undefined;
    const channel = this.#open("psubscribe", glob);
    some.add(channel);
    return channel;
  }

  #open(kind: ChannelKind, name: string): PlainChannel {
    const key = keyOf(kind, name);
    let channel = this.#plain.get(key);
    if (!channel) {
      channel = new PlainChannel(kind, name, this.#names);
      this.#plain.set(key, channel);
      this.add(kind, name, channel);
    }
    return channel;
  }

  #connectionFor(kind: ChannelKind, name: string): SubscriberConnection {
    const node = kind === "ssubscribe" && isCluster(this.#redis) ? ownerOf(this.#redis, name) : "";
    let connection = this.#connections.get(node);
    if (!connection) {
      connection = this.#makeConnection(node);
      this.#connections.set(node, connection);
    }
    return connection;
  }

  #makeConnection(node: string): SubscriberConnection {
    let wasLost = false;
    const connection: SubscriberConnection = new SubscriberConnection({
      open: () => {
        if (node === "" || connection.size > 0) return this.#openTo(node);
        // All that it was for has moved to other nodes.
        this.#connections.delete(node);
        connection.close();
        return undefined;
      },
      moves: (kind, name, listener) => {
        const other = this.#connectionFor(kind, name);
        if (other === connection) return false;
        other.add(kind, name, listener);
        return true;
      },
      pingInterval: this.#options.pingInterval,
      timeout: this.#options.timeout,
      onUp() {
        if (wasLost) emitEvent("reconnected", { level: "info" });
      },
      onDown() {
        wasLost = true;
        emitEvent("disconnected", { level: "warn" });
      },
    });
    return connection;
  }

  #openTo(node: string): Subscriber | undefined {
    if (!isCluster(this.#redis)) return subscriberOf(this.#redis);
    const nodes = this.#redis.nodes("master");
    const at =
      node === ""
        ? nodes[Math.floor(Math.random() * nodes.length)]
        : nodes.find(({ options }) => addressOf(options) === node);
    return at && subscriberOf(at);
  }
}

function keyOf(kind: ChannelKind, name: string): string {
  return `${kind} ${name}`;
}

/** Returns the node that has a sharded channel, or a name of none while that isn't known. */
function ownerOf({ slots }: RedisClusterClient, channel: string): string {
  return slots[slotOf(channel)]?.[0] ?? "nowhere";
}

function addressOf(options: object): string {
  const { host, port } = options as { host?: string; port?: number };
  return `${host}:${port}`;
}

/** Makes a connection of our own to where the app's client connects. */
function subscriberOf(redis: RedisNode): Subscriber {
  return redis.duplicate(SUBSCRIBER_OPTIONS) as Subscriber;
}

/** Options that a subscribing connection needs, whatever the app's client has. */
const SUBSCRIBER_OPTIONS = {
  lazyConnect: true,
  // The connection makes a new one, and subscribes on it what is wanted by then.
  retryStrategy: null,
  autoResubscribe: false,
  maxRetriesPerRequest: null,
  enableOfflineQueue: true,
  enableAutoPipelining: false,
  commandTimeout: undefined,
  // Nothing may be published for hours: whether it lives is asked by a ping.
  socketTimeout: undefined,
  reconnectOnError: null,
  keyPrefix: "",
  monitor: false,
  readOnly: false,
} as const;
