import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MUTANTS as LIVE_MUTANTS } from "../simulation/live/mutants.ts";
import { MUTANTS } from "../simulation/mutants.ts";

const root = join(import.meta.dirname, "../..");

const simulate = (...args: string[]) => {
  const main = join(root, "scripts/simulation/main.ts");
  const all = ["--conditions=@lanai/source", main, ...args];
  return spawnSync(process.execPath, all, { encoding: "utf8" }).stdout.trim();
};

test("S1, S3, S4, S10, S17, S19, F1: hold in a simulated world, whatever comes first", () => {
  const from = String(randomInt(1, 2 ** 31));
  const printed = simulate("--from", from, "--count", process.env.LONG ? "2000" : "200");
  expect(printed).toMatch(/no law broken$/);
});

test("B1, B2, B3, B4, C1, C2, C3, C8: hold for pages in a simulated world, whatever comes first", () => {
  const from = String(randomInt(1, 2 ** 31));
  const printed = simulate("--live", "--from", from, "--count", process.env.LONG ? "500" : "40");
  expect(printed).toMatch(/no law broken$/);
});

test.each([...MUTANTS, ...LIVE_MUTANTS])(
  "the mutant “$name” is still one place of $file",
  ({ file, from }) => {
    expect(readFileSync(join(root, file), "utf8").split(from)).toHaveLength(2);
  },
);

test("the simulation finds a commit that is applied twice, and shrinks its plan", () => {
  const mutant = "a commit that is sent again is applied again";
  const printed = simulate("--from", "49", "--count", "200", "--mutant", mutant, "--quiet");
  expect(printed).toMatch(/^seed \d+, after \d+ runs: S1: an update was applied twice/);
});

test("the simulation finds a page that is not sent what it missed", () => {
  const mutant = "a page that comes back is sent what the process has, and not what it missed";
  const printed = simulate("--live", "--count", "50", "--mutant", mutant, "--quiet");
  expect(printed).toMatch(/^seed \d+, after \d+ runs: B1: page \d of \w+ (?:never )?shows/);
});

test("the same seed gives the same events", () => {
  const printed = simulate("--live", "--from", "3", "--count", "5");
  expect(printed).toMatch(/^5 runs from seed 3, \d+ events, no law broken$/);
  expect(simulate("--live", "--from", "3", "--count", "5")).toBe(printed);
});

test("S1, S3, S4, S10, S17, S19, F1: hold for small plans in every order", () => {
  const printed = simulate("--deviations", process.env.LONG ? "3" : "2");
  expect(printed).toMatch(/no law broken$/);
});

test("B1, B2, B3, B4, C1, C2, C3, C8: hold for small plans of pages in every order", () => {
  const printed = simulate("--live", "--deviations", process.env.LONG ? "1" : "0");
  expect(printed).toMatch(/no law broken$/);
});

const oneMutant = MUTANTS.slice(randomInt(MUTANTS.length)).slice(0, 1);

test.each(process.env.LONG ? MUTANTS : oneMutant)(
  "the mutant “$name” breaks a law in some order of a small plan",
  ({ name }) => {
    expect(simulate("--deviations", "2", "--mutant", name, "--quiet")).toMatch(
      /^.+, after \d+ runs: /,
    );
  },
);

const foundAtOnce = LIVE_MUTANTS.filter(({ name }) => /is behind|two joins/.test(name));

test.each(process.env.LONG ? LIVE_MUTANTS : foundAtOnce)(
  "the mutant of pages “$name” breaks a law in some order of a small plan",
  ({ name }) => {
    const deviations = process.env.LONG ? "1" : "0";
    const printed = simulate("--live", "--deviations", deviations, "--mutant", name, "--quiet");
    expect(printed).toMatch(/^.+, after \d+ runs: /);
  },
);
