/** The pauses before each time, in milliseconds: less than `REMEMBERED_FOR` in all. */
const PAUSES = [1_000, 5_000, 25_000];
/** The number of calls that may wait at once. */
const MAX_WAITING = 10_000;
let waiting = 0;

/** Makes a call that has failed, and for which nobody waits, again until it succeeds: three times at most. */
export async function retryLater<T>(call: () => Promise<T>): Promise<T | undefined> {
  for (const pause of PAUSES) {
    if (waiting === MAX_WAITING) return undefined;
    waiting += 1;
    await new Promise((resolve) => void setTimeout(resolve, pause).unref());
    waiting -= 1;
    try {
      return await call();
    } catch {
      // The outage was reported by the call that failed first.
    }
  }
  return undefined;
}
