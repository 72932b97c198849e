import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PACKAGES } from "../docs/pages.js";
import { referenceOf } from "../docs/reference.js";

const root = join(import.meta.dirname, "../..");

const names = PACKAGES.map(referenceOf).flatMap(({ entries }) =>
  entries.flatMap((entry) => entry.names.map((it) => ({ ...it, at: `${entry.entry} ${it.name}` }))),
);

describe("the API reference", () => {
  test("has every package", () => {
    expect([...PACKAGES].sort()).toEqual(readdirSync(join(root, "packages")).sort());
  });

  test("finds the declaration of every public name", () => {
    expect(names.filter(({ signature }) => signature === "").map(({ at }) => at)).toEqual([]);
    expect(names.length).toBeGreaterThan(400);
  });

  test("holds no implementation", () => {
    const { signature } = names.find(({ at }) => at === "@lanai/session createSessions") ?? {};
    expect(signature).toMatch(/^function createSessions<.*\): Sessions<Data>$/s);
    expect(names.filter(({ signature }) => /\breturn \w+[(;]/.test(signature))).toEqual([]);
  });

  test("says what every public name is, and every option", () => {
    const options = names.filter(({ name }) => name.endsWith("Options"));
    const all = [
      ...names,
      ...options.flatMap(({ at, members }) =>
        members.map(({ name, doc }) => ({ at: `${at}.${name}`, doc })),
      ),
    ];
    expect(options.length).toBeGreaterThan(50);
    expect(all.filter(({ doc }) => doc === "").map(({ at }) => at)).toEqual([]);
  });

  test("says what every code of an error and every event means", () => {
    const lists = names.filter(({ name }) => /(?:ErrorCode|EventName)$/.test(name));
    expect(lists.length).toBeGreaterThan(15);
    const values = lists.flatMap(({ at, members }) =>
      members.length === 0
        ? [`${at}: none found`]
        : members.filter(({ doc }) => doc === "").map(({ signature }) => `${at}: ${signature}`),
    );
    expect(values).toEqual([]);
  });

  test("describes a member as its contract does, if it has no comment of its own", () => {
    const store = names.find(({ at }) => at === "@lanai/session MemoryStore");
    expect(store?.members.find(({ name }) => name === "close")?.doc).toMatch(/^Ends the timers/);
  });
});
