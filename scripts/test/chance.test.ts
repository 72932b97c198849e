import { expect, test } from "vitest";
import { deckOf, randomFrom } from "../testing/chance.ts";

test("a deck deals each item once before any comes again, in an order of its own each time", () => {
  const items = Array.from({ length: 12 }, (_, i) => i);
  const deal = deckOf(items, randomFrom(7));
  const rounds = Array.from({ length: 5 }, () => items.map(() => deal()));
  for (const it of rounds) expect([...it].sort((a, b) => a - b)).toEqual(items);
  expect(new Set(rounds.map(String)).size).toBe(5);
});
