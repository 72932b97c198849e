import type { Awaitable, Ended, SessionRecord, Store } from "./store.ts";

/**
 * A store that can also find sessions by owner.
 *
 * - The index follows every commit, renewal, expiry and end: a list shows exactly the living, and
 *   never a key or an id.
 * - A session that is created, or given the owner, while `destroyAll` runs is either before it, and
 *   ends, or after it, and lives. Nothing is missed.
 * - An unknown owner or public id is an ordinary answer: an empty list, `undefined`. A public id of
 *   another owner's session is answered like an unknown one.
 */
export interface IndexedStore extends Store {
  list(owner: string): Awaitable<readonly SessionRecord[]>;
  destroyByPublicId(owner: string, publicId: string): Awaitable<Ended | undefined>;
  /** Ends all sessions of an owner, but the one with the public id `except`. */
  destroyAll(owner: string, options?: { except?: string }): Awaitable<readonly Ended[]>;
}

export const isIndexed = (store: Store): store is IndexedStore => "destroyAll" in store;
