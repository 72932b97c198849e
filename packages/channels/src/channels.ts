import type { Listener, Sink, Target } from "@lanai/clients";
import { mismatchAmong, originOf, shownHeader } from "@lanai/connection/origin";
import type { RateOptions } from "@lanai/connection/rate";
import { handshakeProblem, UPGRADE_HEADERS } from "@lanai/connection/upgrade";
import type { PublishOptions } from "@lanai/pubsub";
import type { ExtendableContext } from "koa";
import type { Channel, ParamsOf } from "./channel.ts";
import { ChannelsError } from "./errors.ts";
import { events } from "./events.ts";
import { Hub } from "./hub.ts";
import { type Link, type LinkedSocket, type LinkedStream, SocketLink, StreamLink } from "./link.ts";
import { type ChannelsOptions, type Declared, settingsOf } from "./options.ts";
import { PageSink, readSocket } from "./page-sink.ts";
import { readPost } from "./posts.ts";
import { PROTOCOLS } from "./wire.ts";

/** The types of the events of a channel, by their names. */
export type EventsOf<C> =
  C extends Channel<infer Events, infer _I, infer _C, infer _M> ? Events : never;

/** An event that the stream of a channel has retained. */
export type RetainedEvent<Events> = {
  [Name in keyof Events & string]: {
    readonly event: Name;
    readonly data: Events[Name];
    /** When it was published, in milliseconds since 1970, by the broker's clock. */
    readonly time: number;
  };
}[keyof Events & string];

/** The channels of an app: made once, used anywhere. */
export interface Channels<All extends Declared> {
  /** Only in the types: what the page's `connect<typeof channels>` reads. */
  readonly types?: All;
  /**
   * Makes a request to the live address a listener, at any level after the middlewares of the sessions
   * and the clients: an upgrade becomes a WebSocket, and a `GET` for `text/event-stream` the fallback's
   * stream, to which pages `POST`. Any other request gets a 204, from which a page that was refused
   * before the 101 concludes that it may try again.
   */
  middleware(): (ctx: ExtendableContext, next?: () => unknown) => Promise<void>;
  /**
   * Publishes an event to everybody in a channel, in all processes. Resolves as `bus.publish` does.
   *
   * @param options - Those of `bus.publish`: with a `messageId`, a retained event that is published
   *   again within two minutes is stored and delivered once.
   * @throws ChannelsError `ERR_CHANNELS_UNKNOWN` or `ERR_CHANNELS_DATA`, PubSubError of the bus.
   */
  publish<P extends keyof All & string, E extends keyof EventsOf<All[P]> & string>(
    pattern: P,
    params: ParamsOf<P>,
    event: E,
    data: EventsOf<All[P]>[E],
    options?: PublishOptions,
  ): Promise<void>;
  /**
   * Returns the last retained events of a channel, the oldest first: for the first page, which needs no
   * script. Events of other programs that this app doesn't declare are left out.
   *
   * @param limit - The most that are read, as of `bus.history`.
   * @throws ChannelsError `ERR_CHANNELS_UNKNOWN`, PubSubError of the bus, such as `ERR_PUBSUB_NO_STREAM`
   *   where nothing is retained.
   */
  history<P extends keyof All & string>(
    pattern: P,
    params: ParamsOf<P>,
    limit: number,
  ): Promise<RetainedEvent<EventsOf<All[P]>>[]>;
  /**
   * Takes the listeners of a target out of a channel, in all processes. Withdraw the right first: a
   * page may join again, and `join` decides. When it resolves nothing more of the channel reaches them:
   * each page has confirmed that it left, or its connection has ended.
   *
   * @throws ChannelsError `ERR_CHANNELS_UNAVAILABLE` if not every process has confirmed.
   */
  remove<P extends keyof All & string>(
    target: Target,
    pattern: P,
    params: ParamsOf<P>,
  ): Promise<void>;
  /** The number of channels and listeners in this process. */
  readonly size: { readonly channels: number; readonly listeners: number };
  /** Leaves all channels. Call `clients.close()` before, which has the pages come back elsewhere. */
  close(): Promise<void>;
}

/** The members that `@lanai/websocket` and `@lanai/sse` put on a context. */
interface Transports {
  upgrade?(options: { protocols: readonly string[]; rate: RateOptions }): Promise<LinkedSocket>;
  sse?(): Promise<LinkedStream>;
}

const isUpgrade = (ctx: ExtendableContext): boolean => ctx.req.headers.upgrade !== undefined;
const isStream = (ctx: ExtendableContext): boolean =>
  ctx.method === "GET" && /\btext\/event-stream\b/.test(ctx.get("Accept"));

/**
 * Makes the channels of an app.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function createChannels<const All extends Declared>(
  options: ChannelsOptions<All>,
): Channels<All> {
  const settings = settingsOf(options);
  const { clients, anonymous, idle, origins, rate } = settings;
  let onFailure: ((error: unknown) => void) | undefined;
  const hub = new Hub(settings, options.channels, (error) => onFailure?.(error));
  const timer = setInterval(() => void hub.revalidate(), settings.revalidateInterval).unref();
  let closed = false;

  const mustBeOwnOrigin = (ctx: ExtendableContext): void => {
    const { origin } = ctx.req.headers;
    if (origin === undefined) {
      if (ctx.get("Sec-Fetch-Site") === "cross-site") ctx.throw(403, FOREIGN);
      return;
    }
    if (origins === "any") return;
    const own = originOf(ctx.protocol, ctx.host);
    const accepted = origins ?? (own === undefined ? [] : [own]);
    if (accepted.includes(origin)) return;
    const { cause, hint } = mismatchAmong(origin, accepted);
    events.report("origin-refused", cause, {
      level: "warn",
      message: `A page of this origin was refused. ${hint}`,
      got: shownHeader(origin),
      expected: accepted,
    });
    ctx.throw(403, FOREIGN);
  };

  /** Attaches a listener, and returns it with its sink unless it has ended already. */
  const attach = async <L extends Link>(
    ctx: ExtendableContext,
    kind: string,
    open: () => Promise<L>,
  ): Promise<{ listener: Listener; sink: PageSink<L> } | undefined> => {
    let sink: PageSink<L> | undefined;
    const connect = async (): Promise<Sink> => {
      sink = new PageSink(await open());
      return sink;
    };
    const listener = await clients.attach(ctx, { anonymous, idle, kind, connect });
    return listener.endReason === undefined && sink ? { listener, sink } : undefined;
  };

  const attachSocket = async (ctx: ExtendableContext): Promise<void> => {
    const { upgrade } = ctx as unknown as Transports;
    if (!upgrade) throw missing("WebSockets", "attachUpgrade(server, app) of @lanai/websocket");
    const attached = await attach(ctx, "channels", async () => {
      const socket = await upgrade.call(ctx, { protocols: PROTOCOLS, rate });
      return new SocketLink(socket, ctx.req.socket);
    });
    if (!attached) return;
    const { listener, sink } = attached;
    const { socket } = sink.link;
    sink.open(hub, listener, socket.protocol === PROTOCOLS[0]);
    readSocket(socket, sink);
  };

  const attachStream = async (ctx: ExtendableContext): Promise<void> => {
    const { sse } = ctx as unknown as Transports;
    if (!sse) throw missing("the fallback", "app.use(sse()) of @lanai/sse");
    const attached = await attach(
      ctx,
      "channels-stream",
      async () => new StreamLink(await sse.call(ctx), ctx.req.socket),
    );
    if (!attached) return;
    const { listener, sink } = attached;
    const { link } = sink;
    const { credential, end } = hub.posts.add({
      get client() {
        return listener.client;
      },
      get session() {
        return listener.session;
      },
      receive: (text) => sink.receive(text),
      exceed: () => link.close(1013),
    });
    listener.signal.addEventListener("abort", end, { once: true });
    link.stream.send({ event: "line", data: credential });
    sink.open(hub, listener, true);
  };

  const post = async (ctx: ExtendableContext): Promise<void> => {
    mustBeOwnOrigin(ctx);
    if (ctx.get("Lanai-Line") === "") {
      // A page asks whether it would be taken: see WIRE.md.
      ctx.status = 204;
      return;
    }
    const { session } = ctx as unknown as { session?: { publicId?: string; isNew?: boolean } };
    const read = await readPost(ctx, {
      // Who keeps no cookies is somebody new at each request; the secret is enough.
      client: ctx.get("Cookie") === "" ? undefined : clients.idOf(ctx),
      session: session?.isNew ? undefined : session?.publicId,
    });
    ctx.status = typeof read === "number" ? read : await hub.processes.post(read.node, read.note);
  };

  return {
    middleware: () => async (ctx) => {
      if (closed) {
        throw new ChannelsError("ERR_CHANNELS_CLOSED", "channels.close() was called", {
          status: 503,
        });
      }
      onFailure ??= reportTo(ctx.app);
      ctx.set("Cache-Control", "no-store");
      if (ctx.method === "POST") return post(ctx);
      mustBeNoLostHandshake(ctx);
      if (!isUpgrade(ctx) && !isStream(ctx)) {
        ctx.status = 204;
        return;
      }
      // `remove` must reach this process before anybody can be in a channel here.
      await hub.processes.open();
      if (isUpgrade(ctx)) return attachSocket(ctx);
      mustBeOwnOrigin(ctx);
      await attachStream(ctx);
    },
    publish: async (pattern, params, event, data, given) => {
      const { key, channel } = hub.of(pattern, params);
      await hub.publish(key, channel, event, data, given);
    },
    history: async (pattern, params, limit) => {
      const { key, channel } = hub.of(pattern, params);
      return (await hub.history(key, channel, limit)) as never;
    },
    remove: async (target, pattern, params) =>
      hub.processes.remove(target, hub.of(pattern, params).key),
    get size() {
      return hub.size;
    },
    async close() {
      closed = true;
      clearInterval(timer);
      for (const connection of hub.connections) connection.close(1012, "shutdown");
      await hub.close();
    },
  };
}

const FOREIGN = "This request came from another site.";

/** A browser that opens a WebSocket would take a 204 for one more closed connection, and never say why. */
function mustBeNoLostHandshake(ctx: ExtendableContext): void {
  const message = isUpgrade(ctx) ? undefined : handshakeProblem(ctx.req);
  if (message === undefined) return;
  events.report("upgrade-lost", "upgrade-lost", { level: "warn", message });
  throw new ChannelsError("ERR_CHANNELS_UPGRADE_LOST", message, {
    status: 426,
    expose: true,
    headers: UPGRADE_HEADERS,
  });
}

/** A failure of a channel belongs to no request, so that it is emitted without a context. */
const reportTo =
  (app: ExtendableContext["app"]) =>
  (error: unknown): void =>
    void app.emit("error", error);

const missing = (what: string, how: string): ChannelsError =>
  new ChannelsError("ERR_CHANNELS_NO_TRANSPORT", `${what} need ${how}`, { status: 501 });
