import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const texts = (list: string) =>
  [...list.replaceAll(/\/\*.*?\*\/|\/\/.*$/gms, "").matchAll(/"([^"]+)"/g)].map(([, it]) => it);

/** The channels that a source makes: by `eventsOf`, or by `channel` and a template. */
const channelsIn = (source: string): string[] => {
  const made = [...source.matchAll(/= eventsOf(?:<.*?>)?\(\s*"([^"]+)",\s*(NAMES|\[.*?\])/gs)];
  const named = /const NAMES = (\[.*?\]) as const/s.exec(source)?.[1] ?? "[]";
  const byEvents = made.flatMap(([, prefix, list = ""]) =>
    texts(list === "NAMES" ? named : list).map((name) => `${prefix}:${name}`),
  );
  const [, prefix] = /channel\(`([^$`]+):\$\{name\}`\)/.exec(source) ?? [];
  const byName = [...source.matchAll(/\bnamed\("([^"]+)"\)/g)].map(([, it]) => `${prefix}:${it}`);
  return [...byEvents, ...(prefix?.startsWith("lanai:") ? byName : [])];
};

const sources = globSync("packages/*/src/**/*.ts", { cwd: root })
  .map((path) => ({ path, source: read(path) }))
  .filter(({ path }) => !path.includes("connection") && !path.includes("/src/testing/"));

test("docs/production.md has each diagnostics channel of the sources, once", () => {
  const told = [...read("docs/production.md").matchAll(/^\| `(lanai:[^`]+)` \|/gm)].map(
    ([, name = ""]) => name,
  );
  const made = new Set(sources.flatMap(({ source }) => channelsIn(source)));
  expect(made.size).toBeGreaterThan(35);
  expect(told.toSorted()).toEqual([...made].sort());
});

test("an alarm of docs/production.md says whether it is for now or for today", () => {
  const alarms = [
    ...read("docs/production.md").matchAll(/^\| `lanai:[^`]+` \|.*\| ([^|]+) \|$/gm),
  ].map(([, alarm = ""]) => alarm);
  expect(alarms.length).toBeGreaterThan(10);
  expect(alarms.filter((it) => !/^(?:now|today)(?:,|$)/.test(it))).toEqual([]);
});

test("the program that counts events has every channel of docs/production.md", () => {
  const [, list = ""] =
    /const CHANNELS = (\[.*?\]);/s.exec(read("examples/recipes/src/metrics.ts")) ?? [];
  const table = read("docs/production.md").matchAll(/^\| `(lanai:[^`]+)` \|/gm);
  expect(texts(list)).toEqual(Array.from(table, ([, name = ""]) => name));
});

test("no source makes a channel in a way that this test can't read", () => {
  const silent = sources.filter(
    ({ source }) =>
      /eventsOf[<(]|diagnostics_channel";/.test(source) && channelsIn(source).length === 0,
  );
  expect(silent.map(({ path }) => path)).toEqual([]);
});
