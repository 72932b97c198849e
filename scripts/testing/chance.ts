import { randomInt } from "node:crypto";

/** Whether the long forms run: `LONG=1`, which `npm run test:long` sets. */
export const isLong = !["", "0", undefined].includes(process.env.LONG);

/**
 * What the random choices of this process begin with: `LANAI_SEED`, else a new number. `npm test`
 * sets and prints it, so that a run can be repeated as far as the choices go.
 */
export const seed = Number(process.env.LANAI_SEED ?? randomInt(2 ** 31));

/** Returns an integer from 0, below the argument. */
export type Random = (below: number) => number;

/** Repeatable random numbers (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/**
 * Returns a function that deals the items one by one in a random order: each once, before any comes
 * again.
 */
export function deckOf<T>(items: readonly T[], random: Random): () => T {
  let deck: T[] = [];
  return () => {
    if (deck.length === 0) deck = [...items];
    return deck.splice(random(deck.length), 1)[0] as T;
  };
}

const choose = randomFrom(seed);

/** Returns all items in the long form, and in the short one a single one, by chance. */
export const oneOrAll = <T>(items: readonly T[]): readonly T[] =>
  isLong ? items : [items[choose(items.length)] as T];
