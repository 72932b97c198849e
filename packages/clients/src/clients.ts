import type { NoteSeal, NoteSealOptions } from "@lanai/connection/note-seal";
import type { ExtendableContext } from "koa";
import type { ClientsMiddleware } from "./browsers/browser-names.ts";
import type { Devices } from "./browsers/devices.ts";
import type { EventMap, Listener } from "./listener.ts";
import type { AttachOptions, CloseOptions } from "./options.ts";
import type { Presence, PresenceEvents } from "./presence/types.ts";
import type { Everyone, Target } from "./target.ts";

/** The result of sending a message. */
export interface Delivery {
  /** The number of listeners of this process that it was sent to. */
  readonly here: number;
  /** `none`: there is no bus. `down`: the bus didn't take the message, so other processes miss it. */
  readonly bus: "published" | "down" | "none";
}

/** The result of a termination. */
export interface Termination {
  /** The number of sessions that were ended in the store. */
  readonly sessions: number;
  /** The number of listeners of this process that ended. */
  readonly here: number;
  /** `queued`: the bus is unreachable; the others are notified when it is back, or notice it themselves. */
  readonly bus: "published" | "queued" | "none";
  /**
   * Within this time, in milliseconds, the listeners elsewhere have ended even if the bus stays
   * unreachable: those of a session as `terminated`; those without one, of any browser, as
   * `unavailable`.
   */
  readonly bound: number;
}

/** The options of a message, after its data. */
export interface SendOptions {
  /** The id of a listener that doesn't receive it. */
  readonly except?: string | undefined;
}

/** The data and the options of a message. The data may be left out where it may be `undefined`. */
type SendArguments<Data> = undefined extends Data
  ? [data?: Data, options?: SendOptions]
  : [data: Data, options?: SendOptions];

/** The live connections of an app: made once, used anywhere. */
export interface Clients<Events extends object = EventMap> {
  /**
   * Returns a middleware that recognises the browser of each request: it sets the client cookie, puts
   * `ctx.client` there, and makes the browser's sessions findable. Mount it after
   * `sessions.middleware()`.
   */
  middleware(): ClientsMiddleware;
  /**
   * Returns the public id of the browser that a request comes from, also before the middleware has run:
   * for `jwtTracker({ client: (ctx) => clients.idOf(ctx) })`. `undefined` if it sent no client cookie.
   */
  idOf(ctx: ExtendableContext): string | undefined;
  /**
   * Makes the request a live connection, which can be reached and ends with its session. Never rejects
   * once the head has left: a connection that can't go on is a listener that has ended. So is an event
   * stream whose session can't be loaded, because an `EventSource` that receives 503 never comes back.
   *
   * @throws ClientsError `ERR_CLIENTS_UNKNOWN_CLIENT`, a 401 instead of the 101, for a browser without
   *   the client cookie that brings no session either; `ERR_CLIENTS_LIMIT`, a 503, for a WebSocket if
   *   the process has `maxPerProcess` listeners.
   */
  attach(ctx: ExtendableContext, options?: AttachOptions): Promise<Listener<Events>>;
  /**
   * Sends a message to every listener of a target, or to `{ everyone: true }`, in every process, in
   * order, at most once. It is encoded once.
   *
   * @throws TypeError for an event that can't be sent, ClientsError `ERR_CLIENTS_ENCODE` for data that
   *   is no JSON.
   */
  send<E extends keyof Events & string>(
    target: Target | Everyone,
    event: E,
    ...rest: SendArguments<Events[E]>
  ): Promise<Delivery>;
  /** Returns how many listeners, sessions and browsers of a target there are, in all processes. */
  presence(target: Target): Presence;
  /** Calls `handler` when a listener joins or leaves. @returns A function that removes the handler. */
  on<K extends keyof PresenceEvents>(
    name: K,
    handler: (event: PresenceEvents[K]) => unknown,
  ): () => void;
  /** Ends one listener, wherever it is; its session goes on. */
  disconnect(target: { readonly listener: string }): Promise<Delivery>;
  /**
   * Ends a session, or all of a client or a user, and their listeners everywhere: in the store, then
   * here, then in the other processes. A session is found by its public id from the end of the first
   * request on that has met it under `clients.middleware()`.
   *
   * @param options - `except`: the public id of a session that stays.
   * @throws what the store rejects with; then nothing has ended.
   */
  terminate(
    target: { readonly session: string } | { readonly client: string } | { readonly user: string },
    options?: { readonly except?: string | undefined },
  ): Promise<Termination>;
  /** Returns the sessions of the signed-in user: to list, and to sign out. */
  devices(ctx: ExtendableContext): Devices;
  /**
   * Returns what authenticates the messages between the processes of a package that builds on these
   * clients, with the same `keys`. For packages; an app has no use for it.
   */
  sealNotes(options: Omit<NoteSealOptions, "keys">): NoteSeal;
  /** The numbers of what is kept in this process: for tests and dashboards. */
  readonly size: {
    readonly listeners: number;
    /** Listeners of this and all other processes. */
    readonly present: number;
    readonly other: number;
  };
  /**
   * Ends all listeners of this process (1012: they reconnect, to another one), and notifies the other
   * processes. Until the last has ended and the handlers of its messages have settled, only `attach`
   * refuses: `send`, `terminate`, `disconnect` and the ends of sessions work as before. Messages that a
   * browser sent before it received the close frame are still handled.
   */
  close(options?: CloseOptions): Promise<void>;
}
