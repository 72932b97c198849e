import { setTimeout as wait } from "node:timers/promises";
import { onConnectionEnd } from "@lanai/connection";
import { within } from "@lanai/connection/deadline";
import { NoteSeal } from "@lanai/connection/note-seal";
import { libraryPubSub } from "@lanai/pubsub/backend";
import type { ExtendableContext } from "koa";
import { BrowserNames, isUpgrade } from "./browsers/browser-names.ts";
import { ClientCookie } from "./browsers/client-cookie.ts";
import { devicesOf } from "./browsers/devices.ts";
import { EchoCheck } from "./bus/echo-check.ts";
import { EndNotices } from "./bus/end-notices.ts";
import { Relay } from "./bus/relay.ts";
import type { Clients } from "./clients.ts";
import { ClientsError } from "./errors.ts";
import type { EventMap } from "./listener.ts";
import { Listeners, nodeId, type Place } from "./listeners/listeners.ts";
import type { Identity, ListenerHooks, LocalListener } from "./listeners/local-listener.ts";
import { encodeMessage } from "./listeners/message.ts";
import { RunningHandlers } from "./listeners/running-handlers.ts";
import {
  type AttachOptions,
  type ClientsOptions,
  keysOf,
  MAX_AGE,
  pubsubOf,
  validate,
  validateAttach,
  validateClose,
} from "./options.ts";
import { PresenceBoard } from "./presence/presence-board.ts";
import { Recognition } from "./sessions/recognition.ts";
import { clientOwner, SessionChecks, sessionOwner } from "./sessions/session-checks.ts";
import { keyOf, parseTarget } from "./target.ts";
import { connect } from "./transports/connect.ts";
import { ENDED } from "./transports/event-stream-sink.ts";
import type { Sink } from "./transports/sink.ts";

/** Shared by all listeners without options of their own. */
const NONE = {};

/** The sink of a connection that is not to be made again. */
const NOWHERE: Sink = { end() {} };

/**
 * Makes the clients of an app. It observes the ends of `sessions` by itself: a sign-out anywhere ends
 * the listeners.
 *
 * ```ts
 * const clients = createClients<{ said: string; typing: undefined }>({ sessions });
 * await clients.send({ user: "ada" }, "said", "aloha");
 * ```
 *
 * The type parameter names the events of `send`, `listener.send` and `listener.on`, with their data.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function createClients<Events extends object = EventMap>(
  options: ClientsOptions,
): Clients<Events> {
  validate(options);
  const { sessions, tokenHeader, prefix = "app" } = options;
  const { revalidateInterval = 30_000, staleLimit = 120_000, busTimeout = 1_000 } = options;
  const { maxPerSession = 20, maxPerClient = 100, maxPerProcess = Infinity } = options;
  const { presenceInterval = 15_000, leaveGrace = 8_000 } = options;
  const keys = keysOf(options.keys);
  const backend = pubsubOf(options.pubsub);
  const cookie = new ClientCookie({
    name: options.name ?? "cid",
    maxAge: options.maxAge ?? MAX_AGE,
    secure: options.secure ?? false,
    sameSite: options.sameSite ?? "lax",
    partitioned: options.partitioned ?? false,
    keys,
  });
  const names = new BrowserNames(cookie, sessions, (client) => {
    // A session in a token is of one tab; the browser's other tabs stay without it.
    if (tokenHeader !== undefined) return;
    listeners.reconnectAnonymous(client);
    void notices.tell("begun", client);
  });
  const checks = new SessionChecks({ sessions, interval: revalidateInterval, staleLimit });
  const relay = new Relay({
    pubsub: backend && libraryPubSub(backend, "clients"),
    node: nodeId(),
    keys,
    timeout: busTimeout,
    onEcho: () => {
      echoCheck.echoed();
      presence.echoed();
    },
    missed: () => {
      echoCheck.missed();
      void checks.checkAll();
      void notices.flush();
      presence.resync();
    },
  });
  const presence = new PresenceBoard({
    ...{ bus: relay, subject: `${prefix}.presence`, interval: presenceInterval, leaveGrace },
  });
  const listeners = new Listeners({
    ...{ relay, checks, presence, prefix, maxPerSession, maxPerClient, maxPerProcess },
  });
  const notices = new EndNotices(relay, `${prefix}.control`, {
    ended: (id) => listeners.end(`session:${id}`, "terminated"),
    renewed: (id) => void checks.check(id),
    clients: (id) => void listeners.endTarget(`client:${id}`),
    begun: (id) => listeners.reconnectAnonymous(id),
    listeners: (id) => listeners.end(`listener:${id}`, "disconnected"),
  });
  const echoCheck = new EchoCheck({ relay, listeners, interval: revalidateInterval });
  const recognition = new Recognition({ sessions, names, listeners, tokenHeader });
  const handlers = new RunningHandlers();
  const hooks: ListenerHooks = {
    recognise: (listener, token) => recognition.recognise(listener, token),
    afterEnd: (listener) => listeners.remove(listener),
    running: (handler) => handlers.add(handler),
    failed: (listener, error) => {
      const ctx = listeners.contextOf(listener);
      ctx?.app.emit("error", error, ctx);
    },
  };
  listeners.open(notices.open(), presence.open());
  echoCheck.open();
  let closing: Promise<void> | undefined;
  let isClosed = false;

  const stopObserving = sessions.onEnd(({ publicId, reason }) => {
    // Nobody's sign-out waits for the bus.
    if (reason === "destroyed") {
      listeners.end(`session:${publicId}`, "terminated");
      void notices.tell("ended", publicId);
    } else {
      void checks.check(publicId);
      void notices.tell("renewed", publicId);
    }
  });

  /** Checks, before the head leaves, whether this browser may have a live connection. */
  const admit = async (ctx: ExtendableContext, anonymous: boolean, place: Place): Promise<void> => {
    // Loaded here too, so that a WebSocket learns by HTTP that the store is down.
    const session = await recognition.sessionOf(ctx);
    if (!place.take()) throw tooMany();
    if (names.isKnown(ctx) || session) return;
    if (!anonymous) throw unknownClient();
    if (names.idOf(ctx) === undefined) await names.give(ctx);
  };

  const mustBeOpen = (): void => {
    if (!isClosed) return;
    throw new ClientsError("ERR_CLIENTS_CLOSED", "clients.close() was called", { status: 503 });
  };

  /** Ends each listener at a moment of its own, until which it lives as before (law C7). */
  const close = async (over: number, timeout: number): Promise<void> => {
    await Promise.all(
      listeners.all().map(async (listener) => {
        if (over > 0)
          await wait(Math.random() * over, undefined, { signal: listener.signal }).catch(() => {});
        await listener.drain("shutdown");
      }),
    );
    // What their handlers still do reaches everybody.
    await within(timeout, handlers.idle(), () => {});
    isClosed = true;
    stopObserving();
    await notices.flush();
    echoCheck.close();
    notices.close();
    presence.close();
    await relay.close();
  };

  /** Makes a listener of a request; its place is free again when the listener counts. */
  const arrive = async (
    ctx: ExtendableContext,
    attachOptions: AttachOptions,
    place: Place,
  ): Promise<LocalListener> => {
    const { anonymous = false, idle = "open", queue = NONE, rate = NONE } = attachOptions;
    const { kind = isUpgrade(ctx) ? "websocket" : "event-stream" } = attachOptions;
    const isStream = !isUpgrade(ctx) && attachOptions.connect === undefined;
    let isUnavailable = false;
    try {
      await admit(ctx, anonymous, place);
    } catch (error) {
      if (!isStream || (error as { status?: unknown }).status !== 503) throw error;
      isUnavailable = true;
    }
    const isOver = !isUpgrade(ctx) && ctx.get("Last-Event-ID") === ENDED;
    if (isOver) ctx.status = 204;
    const sink = isOver
      ? NOWHERE
      : await (attachOptions.connect ?? ((it) => connect(it, attachOptions.protocols)))(ctx);

    const found = isUnavailable ? undefined : await recognition.sessionOf(ctx);
    const session = found === "renewed" ? undefined : found;
    const identity: Identity = {
      client: names.idOf(ctx),
      session: session?.publicId,
      user: session?.userId,
    };
    const keepsSession = idle === "open";
    const made = { kind, identity, sink, queue, rate, keepsSession, hooks };
    const listener: LocalListener = listeners.make(made);
    endWith(listener, ctx);
    if (isOver) listener.end("terminated");
    else if (closing !== undefined) listener.end("shutdown");
    else if (isUnavailable) listener.end("unavailable");
    // The response that has the new id is still on its way to the browser.
    else if (found === "renewed") listener.end("renewed");
    else listeners.makeRoom(identity);
    if (listener.endReason) return listener;

    listener.begin();
    await listeners.attach(listener, ctx, session?.id, place);
    // Whoever awaits this call adds handlers first, also if the request's handler doesn't.
    setImmediate(() => void names.settled(ctx).then(() => listener.settle()));
    return listener;
  };

  const clients: Clients = {
    middleware: () => names.middleware(),
    idOf: (ctx) => names.idOf(ctx),

    async attach(ctx, attachOptions = {}) {
      validateAttach(attachOptions);
      const place = listeners.place();
      try {
        return await arrive(ctx, attachOptions, place);
      } finally {
        place.free();
      }
    },

    async send(target, event, data?: unknown, { except }: { except?: string | undefined } = {}) {
      mustBeOpen();
      const key = keyOf(target);
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
      return { here, bus: (await notices.tell("listeners", id)) ? "published" : "down" };
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
        void notices.tell("ended", id);
      } else {
        await listeners.endTarget(key, except);
        if (scope === "client") void notices.tell("clients", id);
      }
      const isTold = await notices.flush();
      return {
        sessions: ended,
        here: there.filter((it) => it.endReason !== undefined).length,
        bus: relay.isAlone ? "none" : isTold ? "published" : "queued",
        bound: relay.isAlone ? 0 : revalidateInterval,
      };
    },

    devices: (ctx) => devicesOf(ctx, sessions, (key) => presence.of(key)),
    sealNotes: (noteOptions) => new NoteSeal({ ...noteOptions, keys }),

    get size() {
      const { listeners: here, other } = listeners.size;
      const others = other + checks.size + notices.size + presence.size.keys;
      return {
        listeners: here,
        present: presence.size.listeners,
        // Three subjects are subscribed as long as this lives.
        other: others + Math.max(0, relay.size - 3),
      };
    },

    close(closeOptions = {}) {
      validateClose(closeOptions);
      const { over = 0, timeout = 10_000 } = closeOptions;
      closing ??= close(over, timeout);
      return closing;
    },
  };
  // The names and the data of events are known to the compiler alone.
  return clients as unknown as Clients<Events>;
}

/** A function of its own, so that what the connection keeps refers to the listener alone. */
function endWith(listener: LocalListener, ctx: ExtendableContext): void {
  onConnectionEnd(ctx, () => listener.end("left"));
}

function unknownClient(): ClientsError {
  return new ClientsError(
    "ERR_CLIENTS_UNKNOWN_CLIENT",
    "a live connection needs the client cookie, which any page of this site gives",
    {
      ...{ status: 401, expose: true },
      headers: { "WWW-Authenticate": 'Client realm="live", code="ERR_CLIENTS_UNKNOWN_CLIENT"' },
    },
  );
}

function tooMany(): ClientsError {
  return new ClientsError("ERR_CLIENTS_LIMIT", "this process has maxPerProcess live connections", {
    ...{ status: 503, headers: { "Retry-After": "5" } },
  });
}
