import assert from "node:assert/strict";
import type { IndexedStore } from "../../indexed-store.ts";
import type { Visitor } from "./visitor.ts";

/** The objects that one round of a law works with. */
interface Round {
  readonly visitor: Visitor;
  /** A user of this round alone. */
  readonly user: string;
  readonly store: IndexedStore;
  /** The number of the round. */
  readonly n: number;
  /** Makes another visitor, with random choices of its own. */
  visit(n: number): Visitor;
  /**
   * Reports an order of events that came about, so that a test can check that each of them
   * happened.
   */
  tally(order: string): void;
}

export interface Law {
  readonly name: string;
  readonly orders?: readonly string[];
  /** Whether no other round may be under way. Default: `false`. */
  readonly isAlone?: boolean;
  round(round: Round): Promise<void>;
}

export const has = (
  seen: Record<string, unknown> | undefined,
  expected: Record<string, unknown>,
): void => assert.deepEqual({ ...seen, ...expected }, seen);

export const lacks = (seen: Record<string, unknown>, key: string): void =>
  assert.ok(!(key in seen), `the session has "${key}"`);
