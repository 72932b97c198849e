import type { Awaitable, Ended, SessionRecord, Store } from "./store.ts";

/**
 * A store that can also go through all of its sessions, for operators. Each call takes a bounded step, so
 * that none of them holds others up, however many sessions there are. A `next` in its result is the
 * `cursor` of the call that goes on; without one, everything has been seen. A cursor means nothing outside
 * its store, and is valid for the method that returned it.
 *
 * - Sessions that live from the first call to the last are met at least once. One that begins, ends or is
 *   renewed meanwhile may be missed by `count` and `page`, but not by `destroyPage`.
 * - `destroyPage` ends each session that existed at its first call, also if it is renewed meanwhile, and
 *   none that begins later. "First" is decided by the store's clock.
 */
export interface PagedStore extends Store {
  /** Counts live sessions. The sum of all steps is their number. */
  count(cursor?: string): Awaitable<CountedPage>;
  /** Returns some live sessions; possibly none though there is a `next`. */
  page(options?: PageOptions): Awaitable<Page>;
  /**
   * Ends some live sessions. A repeat with the same `cursor` and `operation` resolves to the sessions that
   * the first call has ended.
   */
  destroyPage(options: DestroyPageOptions): Awaitable<DestroyedPage>;
}

interface Continued {
  /** The cursor of the next step. Missing after the last one. */
  readonly next?: string;
}

/** One step of {@link PagedStore.count}. */
export interface CountedPage extends Continued {
  /** The number of live sessions that this step has counted. */
  readonly count: number;
}

/** Options of {@link PagedStore.page}. */
export interface PageOptions {
  /** The `next` of the step before. Default: begins with the first session. */
  readonly cursor?: string;
  /** The names of the entries that the records shall hold; no others are read. Default: all. */
  readonly entries?: ReadonlySet<string>;
}

/** One step of {@link PagedStore.page}. */
export interface Page extends Continued {
  /** Live sessions; possibly none, although there is a `next`. */
  readonly records: readonly SessionRecord[];
}

/** Options of {@link PagedStore.destroyPage}. */
export interface DestroyPageOptions {
  /** The `next` of the step before. Default: begins with the first session. */
  readonly cursor?: string;
  /** The unique name of the whole walk: a repeated step under it returns what the first has ended. */
  readonly operation: string;
}

/** One step of {@link PagedStore.destroyPage}. */
export interface DestroyedPage extends Continued {
  /** The sessions that this step has ended. */
  readonly ended: readonly Ended[];
}

/** The approximate number of sessions that one step takes. For authors of stores. */
export const PAGE_SIZE = 100;

/** Returns whether a store can go through all of its sessions. */
export const isPaged = (store: Store): store is PagedStore => "destroyPage" in store;
