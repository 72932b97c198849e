import { SessionError } from "./errors.ts";
import type { Awaitable } from "./store.ts";

/** Errors that are a store's answer, not its failure. */
const ANSWERS = new Set<unknown>(["ERR_SESSION_KEY_TAKEN", "ERR_SESSION_TOO_LARGE"]);

export type Ask = <T>(call: () => Awaitable<T>) => Awaitable<T>;

/**
 * Makes every call of a store end: with its answer, or as `ERR_SESSION_STORE_UNAVAILABLE` when it
 * failed or took longer than `timeout` milliseconds. An answer given at once is passed on at once,
 * so that a store in memory costs no promise and no timer.
 */
export function storeGuard(timeout: number, report: (failure: SessionError) => void): Ask {
  const failure = (error: unknown): unknown => {
    if (ANSWERS.has((error as { code?: unknown } | undefined)?.code)) return error;
    const unavailable = new SessionError(
      "ERR_SESSION_STORE_UNAVAILABLE",
      "the session store failed or did not answer in time: see the cause",
      { status: 503, cause: error },
    );
    report(unavailable);
    return unavailable;
  };

  const within = <T>(answer: Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(failure(new Error(`no answer within ${timeout} ms`))),
        timeout,
      );
      answer.then(resolve, (error) => reject(failure(error))).finally(() => clearTimeout(timer));
    });

  return (call) => {
    try {
      const answer = call();
      return isPromise(answer) ? within(answer) : answer;
    } catch (error) {
      throw failure(error);
    }
  };
}

export const isPromise = <T>(value: Awaitable<T>): value is Promise<T> =>
  typeof (value as { then?: unknown } | undefined)?.then === "function";
