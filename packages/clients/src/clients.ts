import { setTimeout as wait } from "node:timers/promises";
import { connectionSignal } from "@lanai/connection";
import type { Session } from "@lanai/session";
import type { ExtendableContext } from "koa";
import { BrowserNames, type ClientsMiddleware, isUpgrade } from "./browser-names.ts";
import { ClientCookie } from "./client-cookie.ts";
import { Control } from "./control.ts";
import { type Devices, devicesOf } from "./devices.ts";
import { ClientsError } from "./errors.ts";
import { ENDED, eventStreamSink } from "./event-stream-sink.ts";
import { Hearing } from "./hearing.ts";
import type { Identity, Listener, LocalListener, Sink } from "./listener.ts";
import { Listeners, nodeId } from "./listeners.ts";
import { encodeMessage } from "./message.ts";
import {
  type ClientsOptions,
  keysOf,
  MAX_AGE,
  pubsubOf,
  validate,
  validateAttach,
} from "./options.ts";
import type { QueueOptions } from "./outgoing.ts";
import { type Presence, PresenceBoard, type PresenceEvents } from "./presence.ts";
import { Relay } from "./relay.ts";
import { createTabSession, tokenIn } from "./tab-session.ts";
import { parseTarget, type Target } from "./target.ts";
import { transportsOf } from "./transports.ts";
import { clientOwner, sessionOwner, Watches } from "./watches.ts";
import { webSocketSink } from "./websocket-sink.ts";

export interface AttachOptions {
  /** Takes connections without a client cookie and without a session too. Default: false. */
  readonly anonymous?: boolean;
  /** How the connection is written to. Default: an upgrade is a WebSocket, all else an event stream. */
  readonly connect?: (ctx: ExtendableContext) => Sink | Promise<Sink>;
  /** A word for what `connect` makes. Default: `websocket` or `event-stream`. */
  readonly kind?: string;
  /**
   * What keeps the session from idling out: that the listener is open, or only the messages of its
   * browser. The absolute timeout ends it in both. Default: `open`.
   */
  readonly idle?: "open" | "messages";
  /** What may wait for a slow connection. */
  readonly queue?: QueueOptions;
}

/** What became of a message. */
export interface Delivery {
  /** How many listeners of this process got it. */
  readonly here: number;
  /** `none`: there is no bus. `down`: it didn't take the message, so others didn't get it. */
  readonly bus: "published" | "down" | "none";
}

/** What became of a termination. */
export interface Termination {
  /** How many sessions were ended in the store. */
  readonly sessions: number;
  /** How many listeners of this process ended. */
  readonly here: number;
  /** `queued`: the bus is away; the others are told when it is back, or notice by themselves. */
  readonly bus: "published" | "queued" | "none";
  /**
   * Within so many milliseconds the listeners elsewhere have ended, also if the bus stays away: those
   * of a session as `terminated`; those without one, whichever browser's they are, as `unavailable`.
   */
  readonly bound: number;
}

/** The live connections of an app: made once, used anywhere. */
export interface Clients {
  /**
   * Names the browser of each request: gives it a cookie, puts `ctx.client` there, and makes its
   * sessions findable by it. After `sessions.middleware()`.
   */
  middleware(): ClientsMiddleware;
  /**
   * The public id of the browser that a request comes from, also before the middleware has run: for
   * `jwtTracker({ client: (ctx) => clients.idOf(ctx) })`. `undefined`: it sent no client cookie.
   */
  idOf(ctx: ExtendableContext): string | undefined;
  /**
   * Makes the request a live connection, which can be reached and ends with its session. Once the
   * head has left it never rejects: what can't go on is a listener that has ended. So is an event
   * stream whose session can't be looked for: an `EventSource` that is answered 503 never comes back.
   *
   * @throws {ClientsError} `ERR_CLIENTS_UNKNOWN_CLIENT`, a 401 instead of the 101, for a browser
   *   without the client cookie that brings no session either.
   */
  attach(ctx: ExtendableContext, options?: AttachOptions): Promise<Listener>;
  /**
   * Sends a message to every listener of a target, in every process, in order, at most once.
   *
   * @param options - `except`: the id of a listener that shall not get it.
   * @throws {ClientsError} `ERR_CLIENTS_ENCODE` for data that is no JSON.
   */
  send(
    target: Target,
    event: string,
    data?: unknown,
    options?: { readonly except?: string | undefined },
  ): Promise<Delivery>;
  /** Who of a target is there, in all processes. */
  presence(target: Target): Presence;
  /** Tells who comes and goes. @returns A function that stops it. */
  on<K extends keyof PresenceEvents>(
    name: K,
    handler: (event: PresenceEvents[K]) => unknown,
  ): () => void;
  /** Ends one listener, wherever it is; its session goes on. */
  disconnect(target: { readonly listener: string }): Promise<Delivery>;
  /**
   * Ends a session, or all of a client or a user, and their listeners everywhere: in the store, then
   * here, then by telling the others. A session is found by its public id from the end of the
   * first request on that has met it under `clients.middleware()`.
   *
   * @param options - `except`: the public id of a session that stays.
   * @throws what the store fails with; then nothing has ended.
   */
  terminate(
    target: { readonly session: string } | { readonly client: string } | { readonly user: string },
    options?: { readonly except?: string | undefined },
  ): Promise<Termination>;
  /** The sessions of the signed-in user: to list, and to sign out. */
  devices(ctx: ExtendableContext): Devices;
  /** How much is kept in this process: for tests and dashboards. */
  readonly size: {
    readonly listeners: number;
    /** Of this and all other processes. */
    readonly present: number;
    readonly other: number;
  };
  /**
   * Ends all listeners of this process (1012: they come back, to another one), and tells the others.
   *
   * @param options - `over`: each at a random moment within so many milliseconds. Default: 0.
   */
  close(options?: { readonly over?: number }): Promise<void>;
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/** A connection that is not to be made again. */
const NOWHERE: Sink = { end() {} };

/**
 * Makes the clients of an app. It watches the ends of `sessions` by itself: a sign-out anywhere ends
 * the listeners.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function createClients(options: ClientsOptions): Clients {
  validate(options);
  const { sessions, tokenHeader, prefix = "lanai.clients" } = options;
  const { revalidateInterval = 30_000, staleLimit = 120_000, busTimeout = 1_000 } = options;
  const { presenceInterval = 15_000, leaveGrace = 8_000 } = options;
  const cookie = new ClientCookie({
    name: options.name ?? "cid",
    maxAge: options.maxAge ?? MAX_AGE,
    secure: options.secure ?? false,
    keys: keysOf(options.keys),
  });
  const names = new BrowserNames(cookie, sessions);
  const watches = new Watches({ sessions, interval: revalidateInterval, staleLimit });
  const relay = new Relay({
    pubsub: pubsubOf(options.pubsub),
    node: nodeId(),
    timeout: busTimeout,
    heard: () => hearing.heard(),
    missed: () => {
      hearing.missed();
      void watches.lookAtAll();
      void control.flush();
      presence.resync();
    },
  });
  const presence = new PresenceBoard({
    ...{ relay, subject: `${prefix}.presence`, interval: presenceInterval, leaveGrace },
  });
  const listeners = new Listeners({ relay, watches, presence, prefix });
  const control = new Control(relay, `${prefix}.control`, {
    ended: (id) => listeners.end(`session:${id}`, "terminated"),
    renewed: (id) => void watches.look(id),
    clients: (id) => void listeners.endWhose(`client:${id}`),
    listeners: (id) => listeners.end(`listener:${id}`, "disconnected"),
  });
  const hearing = new Hearing({ relay, listeners, interval: revalidateInterval });
  listeners.open(control.open(), presence.open());
  hearing.open();
  let closed = false;

  const stopWatching = sessions.onEnd(({ publicId, reason }) => {
    // Nobody's sign-out waits for the bus.
    if (reason === "destroyed") {
      listeners.end(`session:${publicId}`, "terminated");
      void control.tell("ended", publicId);
    } else {
      void watches.look(publicId);
      void control.tell("renewed", publicId);
    }
  });

  const sessionOf = async (ctx: ExtendableContext): Promise<Session | undefined> => {
    try {
      const session = await sessions.from(ctx).load();
      return session.isNew || session.id === undefined ? undefined : session;
    } catch (error) {
      if (codeOf(error) === "ERR_SESSION_NO_MIDDLEWARE") return undefined;
      throw error;
    }
  };

  /** Before the head leaves: whether this browser may have a live connection. */
  const admit = async (ctx: ExtendableContext, anonymous: boolean): Promise<void> => {
    // Looked for here too, so that a store that is down is told to a WebSocket by HTTP.
    const session = await sessionOf(ctx);
    if (names.isKnown(ctx) || session) return;
    if (!anonymous) throw unknownClient();
    if (names.idOf(ctx) === undefined) await names.give(ctx);
  };

  const take = async (
    listener: LocalListener,
    ctx: ExtendableContext,
    token: string,
  ): Promise<string | undefined> => {
    const received = await sessions.receive(ctx, token);
    if (received.session) await listeners.move(listener, received.session);
    else listener.end(received.closeCode === 4403 ? "renewed" : "terminated");
    return received.session && tokenIn(received.headers);
  };

  const make = async (
    listener: LocalListener,
    ctx: ExtendableContext,
  ): Promise<string | undefined> => {
    if (listener.session !== undefined || tokenHeader === undefined) return undefined;
    const { client } = listener;
    const made = await createTabSession(ctx, {
      sessions,
      tokenHeader,
      begin: (inner) => client !== undefined && names.adopt(inner, client),
    });
    if (made) await listeners.move(listener, made.session);
    return made?.token;
  };

  const recognise = async (
    listener: LocalListener,
    given: string | undefined,
  ): Promise<{ token?: string }> => {
    const ctx = listeners.contextOf(listener);
    if (ctx === undefined) return {};
    try {
      const token = await (given === undefined ? make(listener, ctx) : take(listener, ctx, given));
      return token === undefined ? {} : { token };
    } catch (error) {
      listener.end("unavailable");
      ctx.app.emit("error", error, ctx);
      return {};
    }
  };

  const mustBeOpen = (): void => {
    if (!closed) return;
    throw new ClientsError("ERR_CLIENTS_CLOSED", "clients.close() was called", { status: 503 });
  };

  return {
    middleware: () => names.middleware(),
    idOf: (ctx) => names.idOf(ctx),

    async attach(ctx, attachOptions = {}) {
      validateAttach(attachOptions);
      const { anonymous = false, idle = "open", queue = {} } = attachOptions;
      const { kind = isUpgrade(ctx) ? "websocket" : "event-stream" } = attachOptions;
      const isStream = !isUpgrade(ctx) && attachOptions.connect === undefined;
      let isUnavailable = false;
      try {
        await admit(ctx, anonymous);
      } catch (error) {
        if (!isStream || (error as { status?: unknown }).status !== 503) throw error;
        isUnavailable = true;
      }
      const isOver = !isUpgrade(ctx) && ctx.get("Last-Event-ID") === ENDED;
      if (isOver) ctx.status = 204;
      const sink = isOver ? NOWHERE : await (attachOptions.connect ?? connect)(ctx);

      const session = isUnavailable ? undefined : await sessionOf(ctx);
      const identity: Identity = {
        client: names.idOf(ctx),
        session: session?.publicId,
        user: session?.userId,
      };
      const listener = listeners.make({
        ...{ kind, identity, sink, queue, keepsSession: idle === "open" },
        hooks: {
          recognise,
          ended: (it) => listeners.ended(it),
          failed: (error) => ctx.app.emit("error", error, ctx),
        },
      });
      const signal = connectionSignal(ctx);
      signal.addEventListener("abort", () => listener.end("left"), { once: true });
      if (isOver) listener.end("terminated");
      else if (signal.aborted) listener.end("left");
      else if (closed) listener.end("shutdown");
      else if (isUnavailable) listener.end("unavailable");
      else if (listeners.isCrowded(identity)) listener.end("limit");
      if (listener.endReason) return listener;

      sink.begin?.(listener);
      await listeners.attach(listener, ctx, session?.id);
      return listener;
    },

    async send(target, event, data, { except } = {}) {
      mustBeOpen();
      const { key } = parseTarget(target);
      const message = encodeMessage(event, data);
      const here = listeners.deliver(key, message, except);
      return { here, bus: await listeners.publish(key, message, except) };
    },

    presence: (target) => presence.of(parseTarget(target).key),
    on: (event, handler) => presence.on(event, handler),

    async disconnect(target) {
      mustBeOpen();
      const { scope, id, key } = parseTarget(target);
      if (scope !== "listener") throw new TypeError("disconnect(target) takes { listener }");
      const { length: here } = listeners.find(key);
      listeners.end(key, "disconnected");
      if (here > 0 || relay.isAlone) return { here, bus: "none" };
      return { here, bus: (await control.tell("listeners", id)) ? "published" : "down" };
    },

    async terminate(target, { except } = {}) {
      mustBeOpen();
      const { scope, id, key } = parseTarget(target);
      if (scope === "listener") throw new TypeError("a listener is ended by disconnect(target)");
      const there = listeners.find(key);
      const owner = scope === "client" ? clientOwner(id) : sessionOwner(id);
      // sessions.onEnd ends the listeners of each, and tells the others.
      const ended = await sessions.destroyAll(scope === "user" ? { user: id } : { owner }, {
        except,
      });
      if (scope === "session") {
        listeners.end(key, "terminated");
        void control.tell("ended", id);
      } else {
        await listeners.endWhose(key, except);
        if (scope === "client") void control.tell("clients", id);
      }
      const told = await control.flush();
      return {
        sessions: ended,
        here: there.filter((it) => it.endReason !== undefined).length,
        bus: relay.isAlone ? "none" : told ? "published" : "queued",
        bound: relay.isAlone ? 0 : revalidateInterval,
      };
    },

    devices: (ctx) => devicesOf(ctx, sessions, (key) => presence.of(key)),

    get size() {
      const { listeners: here, other } = listeners.size;
      const others = other + watches.size + control.size + presence.size.keys;
      return {
        listeners: here,
        present: presence.size.listeners,
        // Three subjects are heard as long as this lives.
        other: others + Math.max(0, relay.size - 3),
      };
    },

    async close({ over = 0 } = {}) {
      if (closed) return;
      closed = true;
      stopWatching();
      await Promise.all(
        listeners.all().map(async (listener) => {
          if (over > 0) await wait(Math.random() * over);
          listener.end("shutdown");
        }),
      );
      await control.flush();
      hearing.close();
      control.close();
      presence.close();
      await relay.close();
    },
  };
}

async function connect(ctx: ExtendableContext): Promise<Sink> {
  const transports = transportsOf(ctx);
  if (isUpgrade(ctx) && transports.upgrade) return webSocketSink(await transports.upgrade());
  if (transports.sse) return eventStreamSink(await transports.sse());
  throw new ClientsError(
    "ERR_CLIENTS_NO_TRANSPORT",
    "attach(ctx) needs attachUpgrade(server, app) of @lanai/websocket, or app.use(sse()) of " +
      "@lanai/sse, or a connect of its own",
  );
}

const unknownClient = (): ClientsError =>
  new ClientsError(
    "ERR_CLIENTS_UNKNOWN_CLIENT",
    "a live connection needs the client cookie, which any page of this site gives",
    {
      status: 401,
      headers: { "WWW-Authenticate": 'Client realm="live", code="ERR_CLIENTS_UNKNOWN_CLIENT"' },
    },
  );
