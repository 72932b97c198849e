import {
  checkOptions,
  checkValue,
  duration,
  flag,
  func,
  integer,
  kindOf,
  nested,
  oneOf,
  or,
  property,
  type Rule,
  type Rules,
  required,
  text,
  token,
  value,
  withMethods,
} from "@lanai/connection/options";
import { describe, expect, test } from "vitest";

interface Options {
  readonly table?: string;
  readonly sweepInterval?: number;
  readonly queue?: { readonly limit?: number; readonly overflow?: "close" | "drop-oldest" };
}

const RULES: Rules<Options> = {
  table: text("a name of letters", /^[a-z]+$/),
  sweepInterval: or(duration(1_000, 60_000), Infinity),
  queue: nested({ limit: integer(1, 100), overflow: oneOf("close", "drop-oldest") }),
};

const refusal = (options: unknown, hints?: Record<string, string>): [string, string] => {
  try {
    checkOptions("exampleStore", options as Options, RULES, hints);
  } catch (error) {
    const { name, message } = error as Error;
    return [name, message];
  }
  return ["", ""];
};

describe("checkOptions", () => {
  test.each([
    {},
    { table: undefined },
    { table: "a", sweepInterval: Infinity, queue: { limit: 1, overflow: "close" } },
    { sweepInterval: 1_000.5, queue: {} },
    Object.create(null) as object,
  ])("accepts %o", (options) => {
    expect(refusal(options)).toEqual(["", ""]);
  });

  test.each([
    [undefined, "the options must be an object, got undefined"],
    [null, "the options must be an object, got null"],
    [[], "the options must be an object, got array"],
    ["", "the options must be an object, got an empty string"],
    [{ tabel: 1 }, 'there is no option "tabel": its options are table, sweepInterval, queue'],
    [{ toString: 1 }, 'there is no option "toString": its options are table, sweepInterval, queue'],
    [{ table: "A" }, 'table must be a name of letters, got "A"'],
    [{ table: 5 }, "table must be a name of letters, got 5"],
    [{ table: null }, "table must be a name of letters, got null"],
    [{ table: "A".repeat(65) }, "table must be a name of letters, got string"],
    [{ table: 'a"\n' }, String.raw`table must be a name of letters, got "a\"\n"`],
    [
      { sweepInterval: "1000" },
      "sweepInterval must be a number of milliseconds from 1000 to 60000 or Infinity, got string",
    ],
    [{ queue: 5 }, "queue must be an object, got number"],
    [
      { queue: { size: 1 } },
      'there is no option "queue.size": its options are queue.limit, queue.overflow',
    ],
    [
      { queue: { overflow: "drop" } },
      'queue.overflow must be "close" or "drop-oldest", got "drop"',
    ],
  ])("refuses %o with a TypeError", (options, message) => {
    expect(refusal(options)).toEqual(["TypeError", `exampleStore: ${message}`]);
  });

  test.each([
    [999, "999"],
    [60_001, "60001"],
    [Number.NaN, "NaN"],
    [-Infinity, "-Infinity"],
  ])("refuses %d out of range with a RangeError", (sweepInterval, got) => {
    expect(refusal({ sweepInterval })).toEqual([
      "RangeError",
      "exampleStore: sweepInterval must be a number of milliseconds from 1000 to 60000 or Infinity, " +
        `got ${got}`,
    ]);
  });

  test("refuses a nested number out of range with a RangeError", () => {
    expect(refusal({ queue: { limit: 1.5 } })).toEqual([
      "RangeError",
      "exampleStore: queue.limit must be an integer from 1 to 100, got 1.5",
    ]);
  });

  test("says what to write instead of an option of another package", () => {
    const hints = { ttl: "write sweepInterval" };
    expect(refusal({ ttl: 1 }, hints)[1]).toContain('no option "ttl": write sweepInterval');
    expect(refusal({ constructor: 1 }, hints)[1]).toContain("its options are");
  });
});

describe("a rule", () => {
  const accepts = (rule: Rule, it: unknown): boolean => {
    try {
      checkValue("example", "it", it, rule);
      return true;
    } catch {
      return false;
    }
  };

  test.each<[string, Rule, unknown[], unknown[]]>([
    ["integer", integer(0), [0, 2 ** 53 - 1], [-1, 0.5, Infinity, Number.NaN, "1", 1n, null]],
    ["duration", duration(0), [0, 0.5, 2 ** 31 - 1], [-1, 2 ** 31, Infinity, Number.NaN, "1"]],
    ["duration, open", duration(1, Infinity), [1, Infinity], [0, "Infinity"]],
    ["or", or(text("a name", /./), false), ["a", false], ["", true, 0, null]],
    ["required", required(func), [() => {}], [undefined, null, {}]],
    ["value", value("a URL", (it) => it instanceof URL), [new URL("a:b"), undefined], ["a:b", {}]],
    ["oneOf", oneOf("a", 1), ["a", 1, undefined], ["b", "1", true, ["a"]]],
    ["flag", flag, [true, false], ["true", 0, null]],
    ["property", property, ["session", "$_1"], ["", "1a", "a.b", "a b", 1]],
    ["token", token, ["Session-ID", "!#$%&'*+-.^_`|~09azAZ"], ["", "a b", "a:b", "é", "a\n", {}]],
    [
      "withMethods",
      withMethods("a store", "get", "set"),
      [{ get() {}, set() {} }, Object.assign(() => {}, { get() {}, set() {} })],
      [null, 5, {}, { get() {} }, { get() {}, set: 1 }],
    ],
  ])("%s", (_name, rule, good, bad) => {
    for (const it of good) expect([it, accepts(rule, it)]).toEqual([it, true]);
    for (const it of bad) expect([it, accepts(rule, it)]).toEqual([it, false]);
  });

  test("shows no string where it might be a secret", () => {
    for (const rule of [func, integer(1), withMethods("a pool of pg", "connect")]) {
      expect(() => checkValue("example", "it", "postgres://u:secret@h", rule)).toThrow(
        /got string$/,
      );
    }
  });

  test("names numbers without a bound, and their unit", () => {
    expect(integer(1).accepted).toBe("an integer from 1");
    expect(integer(1, 9, "bytes").accepted).toBe("an integer of bytes from 1 to 9");
    expect(duration(1, Infinity).accepted).toBe("a number of milliseconds from 1");
  });
});

test("kindOf never shows a value", () => {
  expect([null, [], {}, "a", 1, undefined].map(kindOf)).toEqual([
    "null",
    "array",
    "object",
    "string",
    "number",
    "undefined",
  ]);
});
