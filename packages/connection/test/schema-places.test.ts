import { expect, test } from "vitest";
import { placesOf } from "../src/schema-places.ts";

test("places are named by their keys, and the top by words", () => {
  expect(placesOf([{ path: ["user", { key: "tags" }, 3] }, { path: [] }, {}])).toBe(
    "user.tags.3, its top",
  );
});

test.each([
  ["a\nb", '"a\\nb"'],
  ["\r\n[error] forged", '"\\r\\n[error] forged"'],
  ["\u001b[31m", '"\\u001b[31m"'],
  ["\u2028x", '"\\u2028x"'],
  ["\u0085x", '"\\u0085x"'],
  ["\u202Ex", '"\\u202ex"'],
  ["a.b", '"a.b"'],
  ["", '""'],
])("a sender's key %j is quoted", (key, shown) => {
  expect(placesOf([{ path: [key] }])).toBe(shown);
});

test("no sender makes a message long", () => {
  const path = Array.from({ length: 1_000 }, () => "k".repeat(1_000));
  const issues = Array.from({ length: 1_000 }, (_, n) => ({ path: [`${n}`, ...path] }));
  const text = placesOf(issues);
  expect(text.length).toBeLessThan(10_000);
  expect(text).toMatch(/ and 995 more$/);
});
