import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type Events, eventsOf } from "@lanai/connection/events";
import { afterEach, expect, test } from "vitest";

interface ExampleEvent {
  readonly level: "info" | "warn";
  readonly message?: string;
}

const NAMES = ["slow", "down"] as const;
let now = 0;
const made = (maxCauses?: number): Events<Record<(typeof NAMES)[number], ExampleEvent>> =>
  eventsOf("lanai:example", NAMES, {
    clock: () => now,
    ...(maxCauses !== undefined && { maxCauses }),
  });

const seen: [string, unknown][] = [];
const listen = (event: unknown, name: string | symbol): void => {
  seen.push([String(name), event]);
};
const watch = (...names: readonly string[]): void => {
  for (const name of names) subscribe(`lanai:example:${name}`, listen);
};

afterEach(() => {
  for (const name of NAMES) unsubscribe(`lanai:example:${name}`, listen);
  seen.length = 0;
  now = 0;
});

const WARN: ExampleEvent & { level: "warn" } = { level: "warn" };

test("an event reaches those who watch its name, and nobody else", () => {
  const { emit, isWatched } = made();
  watch("slow");
  expect([isWatched("slow"), isWatched("down")]).toEqual([true, false]);
  emit("slow", { level: "info" });
  emit("down", { level: "info" });
  expect(seen).toEqual([["lanai:example:slow", { level: "info" }]]);
});

test("two copies of a package speak on the same channels", () => {
  watch("slow");
  made().emit("slow", { level: "info" });
  made().emit("slow", { level: "info" });
  expect(seen).toHaveLength(2);
});

test("a report comes once a minute for each cause of its name", () => {
  const { report } = made();
  watch("slow", "down");
  report("slow", "a", WARN);
  report("slow", "a", WARN);
  report("slow", "b", WARN);
  report("down", "a", WARN);
  expect(seen).toHaveLength(3);
  now = 59_999;
  report("slow", "a", WARN);
  expect(seen).toHaveLength(3);
  now = 60_000;
  report("slow", "a", WARN);
  report("slow", "a", WARN);
  expect(seen).toHaveLength(4);
});

test("a report that nobody watched doesn't use up the minute", () => {
  const { report } = made();
  report("slow", "a", WARN);
  watch("slow");
  report("slow", "a", WARN);
  expect(seen).toHaveLength(1);
});

test("causes without number are remembered up to a bound, and share one report a minute from there", () => {
  const { report } = made(10);
  watch("slow");
  for (let cause = 0; cause < 1_000; cause++) report("slow", String(cause), WARN);
  expect(seen).toHaveLength(11);
  now = 60_000;
  for (let cause = 0; cause < 1_000; cause++) report("slow", String(cause), WARN);
  expect(seen).toHaveLength(22);
});

test("a clock that is set back silences nothing", () => {
  const { report } = made();
  watch("slow");
  now = 3_600_000;
  report("slow", "a", WARN);
  now = 0;
  report("slow", "a", WARN);
  report("slow", "a", WARN);
  expect(seen).toHaveLength(2);
});
