import { PubSubError } from "@lanai/pubsub";
import { emitEvent, isPattern } from "@lanai/pubsub/backend";
import type { RedisClient, RedisClusterClient, RedisNode } from "./client.ts";
import { type Kind, Link, type Listener, type Subscriber } from "./link.ts";
import type { Names } from "./names.ts";
import { Route } from "./route.ts";
import { slotOf } from "./slot.ts";

export interface WiringOptions {
  readonly sharded: boolean;
  readonly maxPatterns: number;
  readonly timeout: number;
  readonly pingInterval: number;
}

/**
 * What this process hears of Redis. However many subscriptions it has, it subscribes each channel
 * once, and no more than `2 * maxPatterns + 1` patterns.
 */
export class Wiring {
  readonly #redis: RedisClient;
  readonly #names: Names;
  readonly #options: WiringOptions;
  readonly #routes = new Map<string, Route>();
  /** How many patterns there are of their own, and for one first token. */
  readonly #patterns = { own: new Set<Route>(), wide: new Set<Route>() };
  /** By the node of the cluster; one that is for no node in particular has no name. */
  readonly #links = new Map<string, Link>();

  constructor(redis: RedisClient, names: Names, options: WiringOptions) {
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

  /** The way on which a subscription hears plain messages, from now to its end. */
  route(subject: string): Route {
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

  /** Resolves when nothing of it is left on the wire. */
  async release(route: Route): Promise<void> {
    if (!route.isUnused) return;
    const key = keyOf(route.kind, route.name);
    if (this.#routes.get(key) !== route) return;
    this.#routes.delete(key);
    this.#patterns.own.delete(route);
    this.#patterns.wide.delete(route);
    await this.remove(route.kind, route.name);
  }

  add(kind: Kind, name: string, listener: Listener): void {
    this.#link(kind, name).add(kind, name, listener);
  }

  async remove(kind: Kind, name: string): Promise<void> {
    await Promise.all([...this.#links.values()].map((link) => link.remove(kind, name)));
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }

  #pattern(glob: string, some: Set<Route>): Route | undefined {
    const known = this.#routes.get(keyOf("psubscribe", glob));
    if (known) return known;
    if (some.size >= this.#options.maxPatterns) return undefined;
    const route = this.#open("psubscribe", glob);
    some.add(route);
    return route;
  }

  #open(kind: Kind, name: string): Route {
    const key = keyOf(kind, name);
    let route = this.#routes.get(key);
    if (!route) {
      route = new Route(kind, name, this.#names);
      this.#routes.set(key, route);
      this.add(kind, name, route);
    }
    return route;
  }

  #link(kind: Kind, name: string): Link {
    const node = kind === "ssubscribe" && isCluster(this.#redis) ? ownerOf(this.#redis, name) : "";
    let link = this.#links.get(node);
    if (!link) {
      link = this.#makeLink(node);
      this.#links.set(node, link);
    }
    return link;
  }

  #makeLink(node: string): Link {
    let wasLost = false;
    const link: Link = new Link({
      open: () => {
        if (node === "" || link.size > 0) return this.#connection(node);
        // All that it was for has moved to other nodes.
        this.#links.delete(node);
        link.close();
        return undefined;
      },
      moves: (kind, name, listener) => {
        const other = this.#link(kind, name);
        if (other === link) return false;
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
    return link;
  }

  #connection(node: string): Subscriber | undefined {
    if (!isCluster(this.#redis)) return subscriberOf(this.#redis);
    const nodes = this.#redis.nodes("master");
    const at =
      node === ""
        ? nodes[Math.floor(Math.random() * nodes.length)]
        : nodes.find(({ options }) => addressOf(options) === node);
    return at && subscriberOf(at);
  }
}

const keyOf = (kind: Kind, name: string): string => `${kind} ${name}`;

const isCluster = (redis: RedisClient): redis is RedisClusterClient => redis.isCluster;

/** Where a sharded channel is; while that isn't known, nowhere. */
const ownerOf = ({ slots }: RedisClusterClient, channel: string): string =>
  slots[slotOf(channel)]?.[0] ?? "nowhere";

const addressOf = (options: object): string => {
  const { host, port } = options as { host?: string; port?: number };
  return `${host}:${port}`;
};

/** A connection of our own to where the app's goes. */
const subscriberOf = (redis: RedisNode): Subscriber =>
  redis.duplicate({
    lazyConnect: true,
    // The link makes a new one, and subscribes on it what is wanted by then.
    retryStrategy: null,
    autoResubscribe: false,
    maxRetriesPerRequest: null,
    enableOfflineQueue: true,
    enableAutoPipelining: false,
    commandTimeout: undefined,
    keyPrefix: "",
    monitor: false,
    readOnly: false,
  }) as Subscriber;
