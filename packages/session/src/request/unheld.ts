import type { Ends } from "../manager/ends.ts";
import type { Key, Store } from "../store.ts";
import { codeOf } from "./failures.ts";
import type { RequestState } from "./request-state.ts";
import { retryLater } from "./retry-later.ts";

/** A session under a new key, of which the store hasn't said whether it is there. */
export interface Unheld {
  readonly key: Key;
  /** Whether still nobody holds the key when the request is over. Default: yes. */
  readonly isUnheld?: () => boolean;
  /** Whether the session was known by its public id, so that its end is reported. */
  readonly wasKnown: boolean;
}

/** Whether the store may have applied a call that failed. */
export const isUnknown = (error: unknown): boolean =>
  codeOf(error) === "ERR_SESSION_STORE_UNAVAILABLE";

/**
 * Ends a session that no client will ever hold, when the request is over: the answer that would have
 * given its id came too late, or never. If the store isn't reached within half a minute, the session
 * lives until it expires.
 */
export function endUnheld(
  { settings, departure }: RequestState,
  { key, isUnheld = () => true, wasKnown }: Unheld,
): void {
  const { store, ends, operation } = settings;
  // There the key is all that there is of a session.
  if (store.carriesData) return;
  const name = operation();
  const end = (): void => {
    if (isUnheld()) void endNow(store, key, name, wasKnown ? ends : undefined);
  };
  if (departure) departure.whenClosed(end);
  else end();
}

/** A function of its own, which keeps nothing of the request in memory while it waits. */
async function endNow(store: Store, key: Key, name: string, ends: Ends | undefined): Promise<void> {
  // Without a deadline: nobody waits for it.
  const call = async () => store.destroy(key, name);
  const ended = await call().catch(() => retryLater(call));
  if (ended) await ends?.report(ended, "destroyed");
}
