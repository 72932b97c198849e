import type { ExtendableContext } from "koa";
import type { Id } from "./id-generator.ts";
import type { Awaitable, Change, SessionRecord } from "./store.ts";

/** What a request brought: an id, or why what it brought can't be one. */
export type Tracked =
  | { readonly id: Id }
  /** A word for events and `requireSession`: `malformed`, `signature`, `ambiguous`. No secrets. */
  | { readonly id?: undefined; readonly refused: string };

/** A tracker's word on a session that was found. */
export type Admission =
  /** `change` is committed before the app runs; `reissue` has the id sent to the client again. */
  | {
      readonly status: "accept";
      readonly change?: Omit<Change, "operation">;
      readonly reissue?: boolean;
    }
  /** The request is anonymous; with `destroy` the session ends as well. */
  | { readonly status: "refuse"; readonly reason: string; readonly destroy?: boolean };

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
  admit?(ctx: ExtendableContext, tracked: Tracked, record: SessionRecord): Admission;
  /**
   * Sends an id. `maxAge`, in milliseconds, is how long the client should keep it; without it, until
   * the browser is closed.
   */
  set(ctx: ExtendableContext, id: Id, record: SessionRecord, maxAge?: number): Awaitable<void>;
  /** Tells the client to forget its id: an expired cookie, an empty header. */
  clear(ctx: ExtendableContext): Awaitable<void>;
  /** The request headers by which a client presents an id: for an app's tests and other clients. */
  present?(id: Id, options: { readonly secure: boolean }): Awaitable<Record<string, string>>;
  /** Request headers on which a response depends that read a session, for `Vary`. */
  readonly vary?: string;
  /** The scheme of `WWW-Authenticate` in a 401. Default: `Session`. */
  readonly challenge?: string;
}
