// The contract of stores. Its smallest implementation is in CONTRIBUTING.md, "Adding a store", which also
// names the suites that hold a store to it.

/** A value now, or a promise of it: a store that works in memory need not make promises. */
export type Awaitable<T> = T | Promise<T>;

/** A contract whose calls all return their results at once, as those of a store in memory do. */
export type AtOnce<Contract> = {
  [Name in keyof Contract]: Contract[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Awaited<Result>
    : Contract[Name];
};

/** A contract all of whose calls return promises, as those of a store on a server do. */
export type Async<Contract> = {
  [Name in keyof Contract]: Contract[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : Contract[Name];
};

/**
 * The name under which a store keeps a session: the first two characters of its id, a dot, and the
 * SHA-256 of the id in base64url: 46 characters of ASCII, whose case counts. A renewed session keeps the two
 * characters, so that a cluster can use them as its hash tag. A store that {@link Store.carriesData}
 * receives the id itself instead, which may be as long as a cookie.
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
  /**
   * A random public name, the same for the whole life of the session, renewals included: 22 characters of
   * base64url, whose case counts, and at most 64 from wrappers and suites. No two sessions share one.
   */
  readonly publicId: string;
  /**
   * Encoded entries, whose order has no meaning. A store never looks inside. A name is 1 to 289 bytes in
   * UTF-8, well-formed and without U+0000; its case counts, and nothing is normalised. A text is well-formed
   * Unicode of any length, often empty. A store that has a bound rejects what is larger with
   * `ERR_SESSION_TOO_LARGE`; 100 KB must fit, or the suite's limit `large` be claimed.
   */
  readonly values: ReadonlyMap<string, string>;
  /**
   * The names by which the session is found: `user:ada`, `client:…`. An owner is 1 to 773 bytes in UTF-8,
   * well-formed and without U+0000; its case counts. Most sessions have none or two; there is no bound.
   */
  readonly owners: ReadonlySet<string>;
  /** The time of creation, by the store's clock, in milliseconds since the epoch. */
  readonly createdAt: number;
  /** The time when the absolute timeout began to run: at creation, or at the last login. */
  readonly startedAt: number;
  /** The last time the session was touched. */
  readonly seenAt: number;
  /**
   * The session ends this long after `seenAt`. Never `Infinity`: an integer from 1,000 to 34,560,000,000 (400
   * days), and up to 10,000 days in the suites.
   */
  readonly idle: number;
  /** The session ends this long after `startedAt`, whatever happens. From 1,000; may be `Infinity`. */
  readonly absolute: number;
}

/**
 * Returns the time when a session ends if nobody touches it: idle or absolute, whichever is nearer.
 */
export const expiresAt = (
  record: Pick<SessionRecord, "seenAt" | "idle" | "startedAt" | "absolute">,
): number => Math.min(record.seenAt + record.idle, record.startedAt + record.absolute);

/** The limit of an owner's live sessions, this one included. */
export interface OwnerLimit {
  /** The owner, such as `user:ada`. */
  readonly owner: string;
  /** An integer from 1. */
  readonly limit: number;
  /**
   * `refuse`: nothing is applied, and the call rejects with `ERR_SESSION_LIMIT` if as many others live.
   * `end-oldest`: of the others, those with the smallest `seenAt` are ended in the same step.
   */
  readonly overflow: "refuse" | "end-oldest";
  /** Called with the sessions that were ended for it, before the call resolves. */
  readonly onEnded?: (ended: readonly Ended[]) => void;
}

/** The content of a new session; the store adds its own instants. */
export interface NewRecord
  extends Pick<SessionRecord, "publicId" | "values" | "owners" | "idle" | "absolute"> {
  /** The unique name of the creation: a repeat under it is applied once. */
  readonly operation: string;
  /** Given only to a store that can find sessions by owner. */
  readonly limitOwner?: OwnerLimit;
}

/** The result of {@link Store.load}. `now` is the store's clock, in milliseconds since the epoch. */
export type Loaded =
  | { readonly status: "live"; readonly record: SessionRecord; readonly now: number }
  /** Unknown, expired or destroyed: a store need not distinguish them. */
  | { readonly status: "none" }
  /** The id was renewed less than {@link RENEWED_FOR} ago, and another one is valid now. */
  | { readonly status: "renewed" };

/** The changes that one request makes to a session: the only way to write. */
export interface Change {
  /**
   * The name of this call: 1 to 64 characters of ASCII, never used for another call. A call that is sent
   * again by this name (by a client after a reconnect) is a repeat: see {@link Store}.
   */
  readonly operation: string;
  /** Entries to set, by name. */
  readonly set?: ReadonlyMap<string, string>;
  /** The names of entries to delete. */
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
  /**
   * With `renewTo`: the session belongs to another user afterwards (nobody counts as one). From then
   * on every key that the session had before returns `renewed` to every commit. The store can't know
   * this by itself: it looks into no values, and `restart` is also set when the same user signs in.
   */
  readonly userChanged?: true;
  /** The session's, for a wrapper such as `encrypted`. A store needs it for nothing. */
  readonly publicId?: string;
  /** Owners to add. */
  readonly addOwners?: ReadonlySet<string>;
  /** Given only to a store that can find sessions by owner. */
  readonly limitOwner?: OwnerLimit;
  /** Owners to remove. */
  readonly removeOwners?: ReadonlySet<string>;
}

/** The result of {@link Store.commit}. */
export type CommitResult =
  /**
   * Applied. `key` is the key by which this writer goes on: `renewTo` if the change renewed the
   * session, the new key if the store {@link Store.carriesData}, and otherwise the key that was
   * given. `renewed: true` says that somebody else has renewed the session and the key is an old one;
   * the successor's key is never returned.
   */
  | { readonly status: "saved"; readonly key: Key; readonly renewed?: true }
  /** No live session: unknown, expired or destroyed. Nothing was applied. */
  | { readonly status: "gone" }
  /**
   * The key is an old one of a renewed session, and the change asked for another renewal, or its
   * `expect` did not hold, or a renewal since has changed the user. Nothing was applied, and nothing
   * of the successor is returned.
   */
  | { readonly status: "renewed" }
  /** `expect` did not hold, or the backend asks to try again. Nothing was applied. */
  | { readonly status: "conflict"; readonly record: SessionRecord };

/** A session that was ended. */
export type Ended = Pick<SessionRecord, "publicId" | "owners">;

/** The time for which the key of a renewed session is remembered as such, in milliseconds. */
export const RENEWED_FOR = 60_000;

/** The least time for which the operation that ended a session is remembered, in milliseconds. */
export const REMEMBERED_FOR = 60_000;

/**
 * Keeps sessions.
 *
 * - *Unknown, expired and destroyed* sessions are ordinary results (`none`, `gone`, `undefined`),
 *   never errors. The store's own clock judges expiry, at each call: that of the server if there is
 *   one. For such a store the suite's `advance` moves every stored instant into the past instead of the
 *   clock: see `OpenedStore` in testing/store/case.ts. A session that nobody has swept yet is as gone as
 *   one that was.
 * - *Renewed*: for {@link RENEWED_FOR} the old key is a marker without data. A `load` of it returns
 *   `renewed`. A `commit` on it comes from a request that had loaded the session before the
 *   renewal: it is applied to the successor, unless it has a `renewTo`, its `expect` does not hold,
 *   or a renewal since was one with `userChanged`; then it returns `renewed` and applies nothing.
 *   No result gives the writer the successor's key or record. A `destroy` always ends the
 *   successor. A `create` on it, or a renewal to it, rejects with `ERR_SESSION_KEY_TAKEN`. The
 *   marker ends with its session. A store remembers 8 of a session's markers at least.
 * - *Malformed* keys don't reach a store: the tracker and the generator have refused them.
 * - *Unreachable*: reject, with what the client has thrown. Never return `none` for an outage: it
 *   would sign everybody out. A store needn't wrap its errors: the manager wraps them as
 *   `ERR_SESSION_STORE_UNAVAILABLE`, and gives up after `storeTimeout`. It passes only a store's
 *   refusals on as they are: `SessionError` with `ERR_SESSION_KEY_TAKEN`, `ERR_SESSION_TOO_LARGE`,
 *   `ERR_SESSION_LIMIT`, or `ERR_SESSION_DECODE` for a record that something else has written. No
 *   message holds a key, an owner or a text.
 * - Every call is one atomic step, also between processes. Nothing is ever applied by halves.
 * - *Repeats*: an operation is applied at most once, also if a client sends it twice, and a repeat
 *   returns the first result. What has to be remembered are the results that changed something:
 *   `saved` of a commit and the key of a create while they are among the session's last 4
 *   operations at least, what an operation ended (by owner also that it ended nothing) for
 *   {@link REMEMBERED_FOR}. A repeat of `gone`, `renewed`, `conflict`, an error or a `destroy` that found
 *   nothing is judged anew, and `saved` may say `renewed` of a renewal since. No key is given to two
 *   sessions.
 *   The record keeps a memory that survives a restart of the process. Where the store's client
 *   repeats commands by itself (ioredis, after a reconnect), a `create` must be known again even
 *   when the session has ended meanwhile. Elsewhere it may be forgotten with the session, and one
 *   that is sent again would be a new session.
 * - *Sweeping* is the store's duty: nobody asks for an expired session again. By a TTL, or by a
 *   timer that keeps no process alive and ends with `close`, a store deletes expired records,
 *   markers, memories of repeats and whatever its index holds of them.
 */
export interface Store {
  /** Returns the record of a live session, or why there is none. Rejects if the store is unreachable. */
  load(key: Key): Awaitable<Loaded>;
  /**
   * Stores a new session and returns its key. Rejects with `ERR_SESSION_KEY_TAKEN` if the key is a session's
   * or a marker's; that of one which has ended or expired is free, swept or not.
   */
  create(key: Key, record: NewRecord): Awaitable<Key>;
  /** Applies a change to a live session, and only to a live one. */
  commit(key: Key, change: Change): Awaitable<CommitResult>;
  /**
   * Ends a session, and the successor of a renewed one. Resolves to what was ended, or to `undefined`
   * if there was nothing to end. A repeat with the same `operation` resolves to the first result.
   */
  destroy(key: Key, operation?: string): Awaitable<Ended | undefined>;
  /** Ends the timers and connections that the store made itself. Calling it twice is harmless. */
  close?(): Awaitable<void>;
  /**
   * Present on a store whose key *is* the session (a sealed cookie, a stateless token): it receives
   * ids as they came, unhashed, its `create` and `commit` return the new id, which is then tracked,
   * and `isValid` checks cheaply whether a text can be one of its ids at all.
   */
  readonly carriesData?: { isValid(id: string): boolean };
}
