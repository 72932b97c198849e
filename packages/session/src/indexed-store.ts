import { SessionError } from "./errors.ts";
import type { Awaitable, Change, CommitResult, Ended, SessionRecord, Store } from "./store.ts";

/**
 * A store that can also find sessions by owner.
 *
 * - The index follows every commit, renewal, expiry and end: a list shows exactly the living, and
 *   never a key or an id.
 * - A session that is created, or given the owner, while `destroyAll` runs is either before it, and
 *   ends, or after it, and lives. Nothing is missed.
 * - An unknown owner or public id is an ordinary result: an empty list, `undefined`. A public id of
 *   another owner's session gives the same result as an unknown one.
 */
export interface IndexedStore extends Store {
  /**
   * Present if the store obeys `limitOwner` of a new record and of a change: in one step with the rest,
   * so that when two sign-ins at once have returned, no more than the limit live.
   */
  readonly limitsOwners?: true;
  /** Returns the live sessions of an owner, in any order. */
  list(owner: string, options?: ListOptions): Awaitable<readonly SessionRecord[]>;
  /**
   * Applies a change to a session of an owner, whichever key it has now, in one step. Resolves as `commit`
   * by that key does; `gone` also means that the owner has no such session (any more), and `renewed` is
   * never returned. The two first characters of `change.renewTo` must be those of the session's key. A
   * change without `renewTo` doesn't remove the owner, and none has `limitOwner`. A repeat with the same
   * `operation` resolves to the first result, also if a change with `renewTo` has removed the owner.
   */
  commitByPublicId(owner: string, publicId: string, change: Change): Awaitable<CommitResult>;
  /** Ends one session of an owner. A repeat with the same `operation` resolves to the first result. */
  destroyByPublicId(
    owner: string,
    publicId: string,
    operation?: string,
  ): Awaitable<Ended | undefined>;
  /**
   * Ends all sessions of an owner, but the one with the public id `except`. A repeat with the same
   * `operation` resolves to the first result and ends nothing that began since; if the store takes
   * several steps and was interrupted, the repeat finishes them.
   */
  destroyAll(owner: string, options?: DestroyAllOptions): Awaitable<readonly Ended[]>;
}

/** Options of {@link IndexedStore.list}. */
export interface ListOptions {
  /** The names of the entries that the records shall hold; no others are read. Default: all. */
  readonly entries?: ReadonlySet<string>;
}

/** Options of {@link IndexedStore.destroyAll}. */
export interface DestroyAllOptions {
  /** The public id of a session that stays. */
  readonly except?: string;
  /** The unique name of this call: a repeat under the same name returns what the first call ended. */
  readonly operation?: string;
}

/** Returns whether a store can find sessions by their owner. */
export const isIndexed = (store: Store): store is IndexedStore => "destroyAll" in store;

/** @throws {SessionError} `ERR_SESSION_NOT_INDEXED`. */
export function mustBeIndexed(store: Store): IndexedStore {
  if (isIndexed(store)) return store;
  throw new SessionError(
    "ERR_SESSION_NOT_INDEXED",
    "this store can't find sessions by owner: use one that can, such as memoryStore()",
  );
}
