import { type StoreAt, storeClocks, storeProcesses } from "@lanai/session/testing";
import { expect, test } from "vitest";
import { newFile } from "./files.ts";

type Register = (
  test: (name: string, fn: () => Promise<void>) => void,
  after: (fn: () => Promise<void>) => void,
) => void;

/** Runs a suite by itself, of the cases whose names begin so, and returns how each has failed. */
async function failuresOf(begin: string, register: Register): Promise<Map<string, string>> {
  const cases: [string, () => Promise<void>][] = [];
  const last: (() => Promise<void>)[] = [];
  register(
    (name, fn) => name.startsWith(begin) && cases.push([name, fn]),
    (fn) => last.push(fn),
  );
  expect(cases.length).toBeGreaterThan(0);
  const failures = new Map<string, string>();
  for (const [name, fn] of cases) {
    await fn().catch((error) => failures.set(name, String(error)));
  }
  for (const fn of last) await fn();
  return failures;
}

const storeAt = (module: string): StoreAt => ({
  module: new URL(module, import.meta.url).href,
  options: newFile(),
});

test("a store that loses updates between processes fails the suite, which says how to repeat it", async () => {
  const failures = await failuresOf("S5: two writers", (test, after) =>
    storeProcesses({ name: "x", test, after, store: storeAt("lossy-store.ts"), seed: 7 }),
  );
  expect([...failures.keys()]).toEqual([
    "S5: two writers of different keys both win (two processes, x)",
  ]);
  expect([...failures.values()][0]).toMatch(/round \d+ with the seed 7/);
});

test("a store that judges expiry by the clock of each process fails the suite of clocks apart", async () => {
  const failures = await failuresOf("S8", (test, after) =>
    storeClocks({ name: "x", test, after, store: storeAt("open-store.ts"), advance() {} }),
  );
  expect(failures.size).toBe(2);
});

test("a suite whose store can't be opened fails each test with the cause, and ends", async () => {
  const failures = await failuresOf("S5: two writers", (test, after) =>
    storeProcesses({ name: "x", test, after, store: storeAt("no-such-module.ts") }),
  );
  expect([...failures.values()][0]).toContain("no-such-module");
});
