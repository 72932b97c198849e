import { playRounds as play } from "../../packages/session/src/testing/rounds.ts";
import { isLong, seed } from "./chance.ts";

/** Rounds of the short form, and of the long one. */
const SHORT = 40;
const LONG = 1000;

export interface Rounds {
  /** Plays the round of a number, and reports the orders that came about in it. */
  readonly round: (n: number, report: (order: string) => void) => Promise<void>;
  /** The orders of events that some round must have had, or the test proves little. Default: none. */
  readonly orders?: readonly string[];
  /** Rounds at least. Default: 40, in the long form 1,000. */
  readonly least?: number;
}

/** How many rounds a test plays at least: 40, in the long form 1,000. */
export const leastRounds: number = isLong ? LONG : SHORT;

/**
 * Plays rounds of a law's interleavings, 25 at once, until there were enough and each of `orders` came
 * about.
 *
 * @throws Error if a round throws, or if an order is missing after 1,000 rounds; the message names the
 * seed.
 */
export const playRounds = ({ round, orders = [], least = leastRounds }: Rounds): Promise<void> =>
  play({ round, orders, least, most: LONG, repeatedBy: `LANAI_SEED=${seed}` });
