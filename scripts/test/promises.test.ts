import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(join(import.meta.dirname, "../..", path), "utf8");

/** The laws that docs/laws.md has a row for: `S1`, `F1`. */
const laws = [...read("docs/laws.md").matchAll(/^\| ([A-Z]\d+) \|/gm)].map(([, id = ""]) => id);

const promises = [...read("docs/promises.md").matchAll(/^\*\*([A-Z]\d+): (.+?)\*\* (.+)$/gm)];

test("every law has its promise in plain words, once", () => {
  const told = promises.map(([, id = ""]) => id);
  expect(laws.length).toBeGreaterThan(50);
  expect(told.toSorted()).toEqual(laws.toSorted());
});

test("a promise is a title and two sentences", () => {
  for (const [, id = "", title = "", text = ""] of promises) {
    expect(title, id).toMatch(/^["A-Z].*\.$/);
    const sentences = text.match(/[.](?= [A-Z`]|$)/g) ?? [];
    expect(sentences, `${id}: ${text}`).toHaveLength(2);
  }
});
