import type { ExtendableContext } from "koa";
import type { SessionEvent } from "./events.ts";
import type { Id } from "./id-generator.ts";
import type { Awaitable, Change, SessionRecord } from "./store.ts";

/** The report on a request's token that was refused. No secrets. */
export interface RefusalTerms {
  /** The word for the client (`requireSession`), where it is to learn less. Default: the same. */
  readonly shown?: string;
  /** The level of the event. Default: `warn`. */
  readonly level?: SessionEvent["level"];
  /**
   * The close code of a socket whose first message brought the token: 4401, sign in again, or 4403,
   * come back with a fresh token. Default: 4401.
   */
  readonly closeCode?: number;
}

/** The reason why a request's token opens no session. */
export interface Refusal extends RefusalTerms {
  /** A word for events and `requireSession`: `malformed`, `signature`, `expired`. No secrets. */
  readonly reason: string;
}

/** A token that a request brought: an id, or why what it brought can't be one. */
export type PresentedToken =
  | {
      readonly id: Id;
      /** The report if no id has this form. Default: `malformed`. */
      readonly ifMalformed?: Refusal;
      /** The report if the store has no such session. Default: `unknown`. */
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

/** The circumstances in which a session was found. */
export interface AdmissionContext {
  /** The time on the store's clock, with which alone the record's instants can be compared. */
  readonly now: number;
  /** Whether the id is the session itself: the store {@link Store.carriesData}. */
  readonly carriesData: boolean;
}

/** Options of {@link Tracker.present}. */
export interface PresentOptions {
  /** Whether the request goes to an HTTPS server. */
  readonly secure: boolean;
  /** The session's record, if the caller has it. */
  readonly record?: SessionRecord;
  /** The request of the client that the headers are for, if there is one. */
  readonly ctx?: ExtendableContext;
}

/**
 * Carries an id between a client and the server.
 *
 * Everything that `get` sees is hostile. It never throws for what a client sent: what can't be an
 * id is `refused`, without a store call. It need not know the form of an id: the generator (or a
 * store that carries its data) is asked next.
 *
 * Headers that `set` and `clear` write outlive an error thrown by the app.
 */
export interface Tracker {
  /**
   * Returns every different token that the request brought, in the order of preference, and none if it
   * brought none. Which of them is the request's session is decided when they have been loaded.
   *
   * @param text - A token that came another way: in a socket's first message.
   */
  get(ctx: ExtendableContext, text?: string): Awaitable<readonly PresentedToken[]>;
  /**
   * Judges a session after it was loaded and before the app runs. If its `change` meets a conflict,
   * it is asked again with the fresh record.
   */
  admit?(
    ctx: ExtendableContext,
    tracked: PresentedToken,
    record: SessionRecord,
    found: AdmissionContext,
  ): Admission;
  /**
   * Sends an id. `maxAge`, in milliseconds, is how long the client should keep it; without it, until
   * the browser is closed.
   */
  set(ctx: ExtendableContext, id: Id, record: SessionRecord, maxAge?: number): Awaitable<void>;
  /** Has the client forget its id: an expired cookie, an empty header. */
  clear(ctx: ExtendableContext): Awaitable<void>;
  /** The request headers by which a client presents an id: for an app's tests and other clients. */
  present?(id: Id, options: PresentOptions): Awaitable<Record<string, string>>;
  /**
   * The name of the kind of token to which sessions belong that are begun through this tracker, or
   * through the one that brought `token`. A session that belongs to one is admitted by no other tracker,
   * so that an id that is readable in a token can't be presented as a cookie. Default: none.
   */
  tokenKind?(ctx: ExtendableContext | undefined, token?: PresentedToken): string | undefined;
  /** Request headers on which a response depends that read a session, for `Vary`. */
  readonly vary?: string;
  /** The scheme of `WWW-Authenticate` in a 401. Default: `Session`. */
  readonly challenge?: string;
  /**
   * Whether a request with a refused token gets the 401 of `requireSession`; a request without one
   * goes on. Default: false, which makes the request anonymous.
   */
  readonly strict?: boolean;
}
