/** A value now, or a promise of it: a store that works in memory need not make promises. */
export type Awaitable<T> = T | Promise<T>;

/**
 * The name under which a store keeps a session: the first two characters of its id, a dot, and the
 * SHA-256 of the id in base64url. A renewed session keeps the two characters, so that a cluster can
 * use them as its hash tag. A store that {@link Store.carriesData} receives the id itself instead.
 */
export type Key = string;

/**
 * A session as a store holds it, seen at one moment. It never changes after it was handed out: what
 * others commit later shows in the next load only.
 *
 * Instants are milliseconds since the epoch on the store's own clock; compare them only with the
 * `now` that came with them. Durations are milliseconds.
 */
export interface SessionRecord {
  /** A random public name, the same for the whole life of the session, renewals included. */
  readonly publicId: string;
  /** Encoded entries. A store never looks inside; names and texts are well-formed Unicode. */
  readonly values: ReadonlyMap<string, string>;
  /** By whom the session can be found: `user:ada`, `client:…`. */
  readonly owners: ReadonlySet<string>;
  readonly createdAt: number;
  /** When the absolute timeout began to run: at creation, or at the last login. */
  readonly startedAt: number;
  /** The last time the session was touched. */
  readonly seenAt: number;
  /** The session ends this long after `seenAt`. */
  readonly idle: number;
  /** The session ends this long after `startedAt`, whatever happens. May be `Infinity`. */
  readonly absolute: number;
}

/** When a session ends if nobody touches it: by idleness or absolutely, whichever is nearer. */
export const expiresAt = (
  record: Pick<SessionRecord, "seenAt" | "idle" | "startedAt" | "absolute">,
): number => Math.min(record.seenAt + record.idle, record.startedAt + record.absolute);

/** What a session is created with; the store adds its own instants. */
export interface NewRecord
  extends Pick<SessionRecord, "publicId" | "values" | "owners" | "idle" | "absolute"> {
  readonly operation: string;
}

export type Loaded =
  | { readonly status: "live"; readonly record: SessionRecord; readonly now: number }
  /** Unknown, expired or destroyed: a store need not tell which. */
  | { readonly status: "none" }
  /** The id was renewed less than {@link RENEWED_FOR} ago, and another one is valid now. */
  | { readonly status: "renewed" };

/** What one request did to a session: the only way to write. */
export interface Change {
  /** Made once per call. A repeat (a client resending after a reconnect) gets the first answer. */
  readonly operation: string;
  readonly set?: ReadonlyMap<string, string>;
  readonly delete?: ReadonlySet<string>;
  /** Compare-and-set: what these entries must be (`undefined`: absent) for anything to happen. */
  readonly expect?: ReadonlyMap<string, string | undefined>;
  /** The session was used: `seenAt` becomes now. */
  readonly touch?: true;
  /** A new idle timeout, in milliseconds. */
  readonly idle?: number;
  /** A new absolute timeout, in milliseconds from `startedAt`. */
  readonly absolute?: number;
  /** The absolute timeout starts anew: `startedAt` becomes now. */
  readonly restart?: true;
  /** Move the session to a new key, which begins with the same two characters. */
  readonly renewTo?: Key;
  readonly addOwners?: ReadonlySet<string>;
  readonly removeOwners?: ReadonlySet<string>;
}

export type CommitResult =
  /** Applied. `key` is where the session is now: another key if it was renewed meanwhile. */
  | { readonly status: "saved"; readonly key: Key }
  /** No live session: unknown, expired or destroyed. Nothing was applied. */
  | { readonly status: "gone" }
  /** `renewTo` came second: another request has renewed the session. Nothing was applied. */
  | { readonly status: "renewed" }
  /** `expect` did not hold, or the backend asks to try again. Nothing was applied. */
  | { readonly status: "conflict"; readonly record: SessionRecord };

/** A session that was ended. */
export type Ended = Pick<SessionRecord, "publicId" | "owners">;

/** For how long, in milliseconds, the key of a renewed session is remembered as such. */
export const RENEWED_FOR = 60_000;

/**
 * Where sessions live.
 *
 * - *Unknown, expired and destroyed* sessions are ordinary answers (`none`, `gone`, `undefined`),
 *   never errors. Expiry is judged by the store's own clock at each call: a session that nobody
 *   swept yet is as gone as one that was.
 * - *Renewed*: for {@link RENEWED_FOR} the old key is a marker without data. A `load` of it says
 *   `renewed`. A `commit` on it comes from a request that had loaded the session before the renewal
 *   and is applied to the successor, a `destroy` ends the successor; only `renewTo` is refused.
 * - *Malformed* keys don't reach a store: the tracker and the generator have refused them.
 * - *Unreachable*: reject, with the cause. Never answer `none` for an outage: it would sign
 *   everybody out. The manager gives up after `storeTimeout`.
 * - Every call is one atomic step, also between processes. Nothing is ever applied by halves.
 * - An operation is applied at most once, also if a client sends it twice. Where the store's client
 *   does so by itself (ioredis, after a reconnect), a `create` must be known again even when the
 *   session has ended meanwhile. Elsewhere it may be forgotten with the session, and one that is
 *   sent again would be a new session.
 */
export interface Store {
  load(key: Key): Awaitable<Loaded>;
  /** Stores a new session and answers its key. Rejects with `ERR_SESSION_KEY_TAKEN` if there is one. */
  create(key: Key, record: NewRecord): Awaitable<Key>;
  /** Applies a change to a live session, and only to a live one. */
  commit(key: Key, change: Change): Awaitable<CommitResult>;
  /** Ends a session, and the successor of a renewed one. `undefined`: there was none. */
  destroy(key: Key): Awaitable<Ended | undefined>;
  /** Lets go of timers and connections that the store made itself. Calling it twice is harmless. */
  close?(): Awaitable<void>;
  /**
   * Present on a store whose key *is* the session (a sealed cookie, a stateless token): it receives
   * ids as they came, unhashed, its `create` and `commit` answer the new id, which is then tracked,
   * and `isValid` tells cheaply whether a text can be one of its ids at all.
   */
  readonly carriesData?: { isValid(id: string): boolean };
}
