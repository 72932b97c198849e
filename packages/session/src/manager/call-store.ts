import { within } from "@lanai/connection/deadline";
import { SessionError } from "../errors.ts";
import type { Awaitable, Change, CommitResult, Key, Loaded, Store } from "../store.ts";

/** Errors by which a store refuses a call, as opposed to its own failures. */
export const REFUSALS: ReadonlySet<unknown> = new Set([
  "ERR_SESSION_KEY_TAKEN",
  "ERR_SESSION_TOO_LARGE",
  "ERR_SESSION_DECODE",
  "ERR_SESSION_LIMIT",
]);

/** Calls the store. `onLate` is called with a result that came after the deadline. */
export type CallStore = <T>(call: () => Awaitable<T>, onLate?: (result: T) => void) => Awaitable<T>;

/** A store every call of which ends in time. */
export interface StoreCalls {
  readonly callStore: CallStore;
  /** Do the same as `callStore` for the two calls of most requests, and make no function for it. */
  readonly load: (key: Key) => Awaitable<Loaded>;
  readonly commit: (key: Key, change: Change, onLate?: () => void) => Awaitable<CommitResult>;
}

/**
 * Gives every call of a store an end: its result, or `ERR_SESSION_STORE_UNAVAILABLE` if it failed or
 * took longer than `timeout` milliseconds. A result that is no promise is passed on at once, so that a
 * store in memory costs no promise and no timer.
 */
export function callsWithin(
  store: Store,
  timeout: number,
  report: (failure: SessionError) => void,
): StoreCalls {
  const failure = (error: unknown): unknown => {
    if (REFUSALS.has((error as { code?: unknown } | undefined)?.code)) return error;
    const unavailable = new SessionError(
      "ERR_SESSION_STORE_UNAVAILABLE",
      "the session store failed or timed out: see the cause",
      { status: 503, cause: error },
    );
    report(unavailable);
    return unavailable;
  };
  const fail = (error: unknown): never => {
    throw failure(error);
  };

  const inTime = <T>(answer: Promise<T>, onLate: ((result: T) => void) | undefined) =>
    within(timeout, answer, () => {
      if (onLate) answer.then(onLate, () => {});
      throw new Error(`no answer within ${timeout} ms`);
    }).catch(fail);

  return {
    callStore(call, onLate) {
      try {
        const result = call();
        return isPromise(result) ? inTime(result, onLate) : result;
      } catch (error) {
        throw failure(error);
      }
    },

    load(key) {
      try {
        const result = store.load(key);
        return isPromise(result) ? inTime(result, undefined) : result;
      } catch (error) {
        throw failure(error);
      }
    },

    commit(key, change, onLate) {
      try {
        const result = store.commit(key, change);
        return isPromise(result) ? inTime(result, onLate) : result;
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

export const isPromise = <T>(value: Awaitable<T>): value is Promise<T> =>
  typeof (value as { then?: unknown } | undefined)?.then === "function";
