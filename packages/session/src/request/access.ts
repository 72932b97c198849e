import type { StoreCalls } from "../manager/call-store.ts";
import type { OwnEnds } from "../manager/own-ends.ts";
import type { Store } from "../store.ts";

/** The parts of the manager that a stored session uses. */
export interface Access extends StoreCalls {
  readonly store: Store;
  /** A name for one call of the store, never used again. */
  readonly operation: () => string;
  readonly ownEnds: OwnEnds;
}
