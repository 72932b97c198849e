/** Rounds that are under way at once, each with state of its own. */
const AT_ONCE = 25;

export interface Rounds {
  /** Plays the round of a number, and reports the orders of events that came about in it. */
  readonly round: (n: number, report: (order: string) => void) => Promise<void>;
  /** The orders of events that some round must have had, or the test proves little. */
  readonly orders: readonly string[];
  /** Rounds at least. */
  readonly least: number;
  /** Rounds at most, while an order is missing. */
  readonly most: number;
  /** Rounds that are under way at once. Default: 25. */
  readonly atOnce?: number;
  /** The advice on how to repeat a run, for errors. */
  readonly repeatedBy: string;
}

/**
 * Plays rounds of a law's interleavings, `atOnce` at once, until there were enough and each order came
 * about. If a round fails, no other begins, and those under way end first.
 *
 * @throws Error if a round throws, or if an order is missing at the end.
 */
export async function playRounds(rounds: Rounds): Promise<void> {
  const { round, orders, least, most, atOnce = AT_ONCE, repeatedBy } = rounds;
  const missing = new Set(orders);
  let next = 0;
  let failure: Error | undefined;
  const playSome = async () => {
    while (!failure && (next < least || (missing.size > 0 && next < most))) {
      const n = next++;
      try {
        await round(n, (order) => missing.delete(order));
      } catch (cause) {
        failure ??= new Error(`round ${n} with ${repeatedBy}: ${String(cause)}`, { cause });
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, playSome));
  if (failure) throw failure;
  if (missing.size > 0) {
    throw new Error(`no round with ${repeatedBy} had: ${[...missing].join("; ")}`);
  }
}
