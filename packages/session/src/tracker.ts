import type { ExtendableContext } from "koa";
import type { SessionEvent } from "./events.ts";
import type { Id } from "./id-generator.ts";
import type { Refusal } from "./refusal.ts";
import type { Awaitable, Change, SessionRecord } from "./store.ts";

/** How the refusal of what a request brought is told. No secrets. */
export interface RefusalTerms {
  /** The word for the client (`requireSession`), where it is to learn less. Default: the same. */
  readonly shown?: string;
  /** Of the event. Default: `warn`. */
  readonly level?: SessionEvent["level"];
  /**
   * With which a socket is closed whose first message brought it: 4401, sign in again, or 4403, come
   * back with a fresh token. Default: 4401.
   */
  readonly closeCode?: number;
}

/** What a request brought: an id, or why what it brought can't be one. */
export type Tracked =
  | {
      readonly id: Id;
      /** How it is told that no id is like that. Default: `malformed`. */
      readonly ifMalformed?: Refusal;
      /** How it is told that the store has no such session. Default: `unknown`. */
      readonly ifUnknown?: Refusal;
    }
  /** A word for events and `requireSession`: `malformed`, `signature`, `ambiguous`. */
  | ({
      readonly id?: undefined;
      readonly ifUnknown?: undefined;
      readonly refused: string;
    } & RefusalTerms);

/** A tracker's word on a session that was found. */
export type Admission =
  /** `change` is committed before the app runs; `reissue` has the id sent to the client again. */
  | {
      readonly status: "accept";
      readonly change?: Omit<Change, "operation">;
      readonly reissue?: boolean;
    }
  /** The request is anonymous; with `destroy` the session ends as well. */
  | ({
      readonly status: "refuse";
      readonly reason: string;
      readonly destroy?: boolean;
    } & RefusalTerms);

/** Where a session was found. */
export interface Found {
  /** The time on the store's clock, with which alone the record's instants can be compared. */
  readonly now: number;
  /** Whether the id is the session itself: the store {@link Store.carriesData}. */
  readonly carriesData: boolean;
}

export interface PresentOptions {
  /** As to an HTTPS server. */
  readonly secure: boolean;
  /** The session's record, where it is at hand. */
  readonly record?: SessionRecord;
  /** The request whose client it is for, where there is one. */
  readonly ctx?: ExtendableContext;
}

/**
 * How an id travels between a client and the server.
 *
 * Everything that `get` sees is hostile. It never throws for what a client sent: nothing there is
 * `undefined`, and what can't be an id is `refused`, without a store call. It need not know the
 * form of an id: the generator (or a store that carries its data) is asked next.
 *
 * Headers that `set` and `clear` write outlive an error thrown by the app.
 */
export interface Tracker {
  /** `text` is a token that came another way: in a socket's first message. */
  get(ctx: ExtendableContext, text?: string): Awaitable<Tracked | undefined>;
  /**
   * Judges a session after it was loaded and before the app runs. If its `change` meets a conflict,
   * it is asked again with the fresh record.
   */
  admit?(ctx: ExtendableContext, tracked: Tracked, record: SessionRecord, found: Found): Admission;
  /**
   * Sends an id. `maxAge`, in milliseconds, is how long the client should keep it; without it, until
   * the browser is closed.
   */
  set(ctx: ExtendableContext, id: Id, record: SessionRecord, maxAge?: number): Awaitable<void>;
  /** Tells the client to forget its id: an expired cookie, an empty header. */
  clear(ctx: ExtendableContext): Awaitable<void>;
  /** The request headers by which a client presents an id: for an app's tests and other clients. */
  present?(id: Id, options: PresentOptions): Awaitable<Record<string, string>>;
  /** Request headers on which a response depends that read a session, for `Vary`. */
  readonly vary?: string;
  /** The scheme of `WWW-Authenticate` in a 401. Default: `Session`. */
  readonly challenge?: string;
  /**
   * Whether a request that brings what is refused is answered with the 401 of `requireSession`; one
   * that brings nothing goes on. Default: false, which makes it anonymous.
   */
  readonly strict?: boolean;
}
