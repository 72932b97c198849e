import { expect, test } from "vitest";
import { type Said, violationsOf } from "../soak/room.ts";

const said = new Map([
  ["ada", [1, 2, 3, 5]],
  ["bob", [1, 2]],
]);
const of =
  (by: string) =>
  (...all: number[]): Said[] =>
    all.map((n) => ({ by, n }));
const ada = of("ada");
const bob = of("bob");

test.each<[string, (Said | "gap")[]]>([
  ["everything in order", [...ada(1, 2), ...bob(1), ...ada(3, 5), ...bob(2)]],
  ["nothing before the tab joined", ada(3, 5)],
  ["what is missing, if a gap says so", [...ada(1), "gap", ...ada(5)]],
  ["what was never acknowledged, anywhere and once", ada(1, 2, 3, 5, 4)],
])("the soak accepts %s", (_, shown) => {
  expect(violationsOf(shown, said)).toEqual([]);
});

test.each<[string, (Said | "gap")[], string]>([
  ["a message twice", [...ada(1), ...bob(1), ...ada(1)], "message 1 of ada was shown twice"],
  ["the wrong order", ada(2, 1), "message 1 of ada came after 2"],
  ["a message that is missing", ada(1, 5), "messages 2,3 of ada are missing without a gap"],
  ["a gap of before", ["gap", ...ada(1, 3)], "messages 2 of ada are missing without a gap"],
])("the soak finds %s", (_, shown, what) => {
  expect(violationsOf(shown, said).join()).toContain(what);
});
