import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type MemoryStoreOptions, memoryStore } from "@lanai/session";
import { type Change, type NewRecord, RENEWED_FOR } from "@lanai/session/store";
import { storeConformance } from "@lanai/session/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const opened = (options: MemoryStoreOptions = {}) => {
  let now = Date.now();
  const advance = (ms: number) => {
    now += ms;
  };
  return { store: memoryStore({ clock: () => now, ...options }), advance };
};

// `LONG=1` tries all 87,500 orders of two holders of a session.
const orders = process.env.LONG ? 87_500 : 2_000;
storeConformance({ name: "memory", test, open: opened, orders });

let operations = 0;

const record = (given: Partial<NewRecord> = {}): NewRecord => ({
  operation: `operation ${operations++}`,
  publicId: "public",
  values: new Map(),
  owners: new Set(),
  idle: 60_000,
  absolute: 3_600_000,
  ...given,
});

const change = (given: Partial<Change> = {}): Change => ({
  operation: `operation ${operations++}`,
  ...given,
});

const owned = (owner: string) => record({ owners: new Set([owner]) });
const holding = (text: string) => record({ values: new Map([["v", text]]) });

type Opened = ReturnType<typeof opened>;

const living = ({ store }: Opened, keys: readonly string[]) =>
  keys.filter((key) => store.load(key).status === "live");

describe("answers", () => {
  test("come at once, without a promise", () => {
    const { store } = opened();
    expect(store.create("k", owned("ada"))).toBe("k");
    expect(store.load("k")).toMatchObject({ status: "live" });
    expect(store.commit("k", change({ touch: true }))).toEqual({ status: "saved", key: "k" });
    expect(store.list("ada")).toHaveLength(1);
    expect(store.destroyByPublicId("ada", "unknown")).toBeUndefined();
    expect(store.destroyAll("ada")).toHaveLength(1);
    expect(store.destroy("k")).toBeUndefined();
    expect(store.close()).toBeUndefined();
  });

  test("of failure are thrown at once", () => {
    const { store } = opened();
    store.create("k", record());
    expect(() => store.create("k", record())).toThrow(
      expect.objectContaining({ name: "SessionError", code: "ERR_SESSION_KEY_TAKEN" }),
    );
  });

  test("of load hand out the record itself, which a touch leaves sharing its values", () => {
    const { store } = opened();
    store.create("k", holding("1"));
    const loaded = () => {
      const answer = store.load("k");
      return "record" in answer ? answer.record : undefined;
    };
    const before = loaded();
    expect(loaded()).toBe(before);
    store.commit("k", change({ touch: true }));
    expect(loaded()).not.toBe(before);
    expect(loaded()?.values).toBe(before?.values);
  });
});

describe("size", () => {
  test("counts sessions, not the keys they had before", () => {
    const { store } = opened();
    store.create("aa.1", record());
    store.create("aa.2", record());
    store.commit("aa.1", change({ renewTo: "aa.3" }));
    expect(store.size).toBe(2);
    store.destroy("aa.1");
    store.destroy("aa.2");
    expect(store.size).toBe(0);
  });

  test("counts an expired session until it is met", () => {
    const { store, advance } = opened();
    store.create("k", record());
    advance(60_000);
    expect(store.size).toBe(1);
    expect(store.load("k")).toEqual({ status: "none" });
    expect(store.size).toBe(0);
  });
});

describe("when sessions don't fit", () => {
  test("the one unused for longest goes", () => {
    const at = opened({ maxSessions: 3 });
    for (const key of ["1", "2", "3"]) at.store.create(key, record());
    at.advance(1);
    at.store.commit("1", change({ touch: true }));
    at.store.create("4", record());
    expect(living(at, ["1", "2", "3", "4"])).toEqual(["1", "3", "4"]);
    at.store.create("5", record());
    expect(living(at, ["1", "3", "4", "5"])).toEqual(["1", "4", "5"]);
    expect(at.store.size).toBe(3);
  });

  test("a commit without a touch is no use", () => {
    const at = opened({ maxSessions: 2 });
    at.store.create("1", record());
    at.store.create("2", record());
    at.advance(1);
    at.store.commit("1", change({ set: new Map([["v", "1"]]) }));
    at.store.create("3", record());
    expect(living(at, ["1", "2", "3"])).toEqual(["2", "3"]);
  });

  test("sessions without an owner go before those with one", () => {
    const at = opened({ maxSessions: 3 });
    at.store.create("ada", owned("ada"));
    at.store.create("1", record());
    at.store.create("bob", owned("bob"));
    at.store.create("2", record());
    expect(living(at, ["ada", "bob", "1", "2"])).toEqual(["ada", "bob", "2"]);
    at.store.create("eve", owned("eve"));
    at.store.create("3", record());
    expect(living(at, ["ada", "bob", "2", "eve", "3"])).toEqual(["bob", "eve", "3"]);
    expect(at.store.list("ada")).toEqual([]);
  });

  test("a session that has got an owner counts as one with an owner, and the reverse", () => {
    const at = opened({ maxSessions: 2 });
    at.store.create("1", record());
    at.store.create("2", record());
    at.store.commit("1", change({ addOwners: new Set(["ada"]) }));
    at.store.create("3", record());
    expect(living(at, ["1", "2", "3"])).toEqual(["1", "3"]);
    at.store.commit("1", change({ removeOwners: new Set(["ada"]) }));
    at.store.create("4", record());
    expect(living(at, ["1", "3", "4"])).toEqual(["1", "4"]);
  });

  test("an expired session goes before a living one, though it has an owner", () => {
    const at = opened({ maxSessions: 2 });
    at.store.create("ada", owned("ada"));
    at.advance(59_000);
    at.store.create("1", record());
    at.advance(1_000);
    at.store.create("2", record());
    expect(living(at, ["ada", "1", "2"])).toEqual(["1", "2"]);
  });

  test("no number of visitors evicts who has signed in", () => {
    const at = opened({ maxSessions: 10 });
    for (let n = 0; n < 9; n++) at.store.create(`ada ${n}`, owned("ada"));
    for (let n = 0; n < 1000; n++) at.store.create(`visitor ${n}`, record());
    expect(at.store.list("ada")).toHaveLength(9);
    expect(at.store.size).toBe(10);
  });

  test("the order holds after any uses and ends", () => {
    const at = opened({ maxSessions: 5 });
    let expected: string[] = [];
    for (let n = 0; n < 2000; n++) {
      at.advance(1);
      const drawn = (n * n * 7 + n * 13) % 101;
      const key = expected[drawn % 5] ?? "";
      const others = expected.filter((other) => other !== key);
      if (drawn % 8 === 0) {
        at.store.destroy(key);
        expected = others;
      } else if (drawn % 8 < 4 && key) {
        at.store.commit(key, change({ touch: true }));
        expected = [...others, key];
      } else {
        at.store.create(`${n}`, record({ idle: 3_600_000 }));
        expected = [...expected, `${n}`].slice(-5);
      }
      expect(living(at, expected)).toEqual(expected);
      expect(at.store.size).toBe(expected.length);
    }
  });

  test("a refused create evicts nobody", () => {
    const at = opened({ maxSessions: 2 });
    at.store.create("1", record());
    at.store.create("2", record());
    expect(() => at.store.create("2", record())).toThrow("in use");
    expect(living(at, ["1", "2"])).toEqual(["1", "2"]);
  });
});

describe("maxBytes", () => {
  test("counts names and texts in UTF-8", () => {
    const at = opened({ maxBytes: 20 });
    at.store.create("1", record({ values: new Map([["é", "12345678"]]) }));
    at.store.create(
      "2",
      record({
        values: new Map([
          ["é", "€€123"],
          ["", ""],
        ]),
      }),
    );
    expect(living(at, ["1", "2"])).toEqual(["2"]);
    at.store.create("3", record({ values: new Map([["a", "123456"]]) }));
    expect(living(at, ["2", "3"])).toEqual(["2", "3"]);
  });

  test("makes a session that grows evict others, and never itself", () => {
    const at = opened({ maxBytes: 30 });
    at.store.create("1", holding("123456789"));
    at.store.create("2", holding("123456789"));
    at.store.create("3", holding("123456789"));
    expect(living(at, ["1", "2", "3"])).toEqual(["1", "2", "3"]);
    at.store.commit("1", change({ set: new Map([["v", "x".repeat(12)]]) }));
    expect(living(at, ["1", "2", "3"])).toEqual(["1", "3"]);
    at.store.commit("1", change({ set: new Map([["v", "x".repeat(29)]]) }));
    expect(living(at, ["1", "3"])).toEqual(["1"]);

    at.store.create("ada", record({ owners: new Set(["ada"]), values: new Map() }));
    at.store.create("bob", record({ owners: new Set(["bob"]), values: new Map([["b", ""]]) }));
    at.store.commit("ada", change({ set: new Map([["v", "x".repeat(29)]]) }));
    expect(living(at, ["1", "ada", "bob"])).toEqual(["ada"]);
  });

  test("has the bytes back of sessions that end or shrink", () => {
    const at = opened({ maxBytes: 20 });
    at.store.create("1", holding("123456789"));
    at.store.create("2", holding("123456789"));
    at.store.destroy("1");
    at.store.create("3", holding("12345"));
    at.store.commit("3", change({ delete: new Set(["v"]) }));
    at.store.create("4", holding("123456789"));
    expect(living(at, ["2", "3", "4"])).toEqual(["2", "3", "4"]);
    at.store.destroy("4");
    at.store.commit("3", change({ set: new Map([["v", "123456789"]]) }));
    at.store.destroy("3");
    at.store.create("5", holding("123456789"));
    expect(living(at, ["2", "5"])).toEqual(["2", "5"]);
    at.store.create("6", holding(""));
    expect(living(at, ["2", "5", "6"])).toEqual(["5", "6"]);
  });

  test("refuses one session that is larger, and applies nothing", () => {
    const at = opened({ maxBytes: 10 });
    at.store.create("1", record());
    const tooLarge = expect.objectContaining({ code: "ERR_SESSION_TOO_LARGE" });
    expect(() => at.store.create("2", holding("1234567890"))).toThrow(tooLarge);
    const set = new Map([["v", "1234567890"]]);
    const grow = change({ set, renewTo: "3", addOwners: new Set(["ada"]) });
    expect(() => at.store.commit("1", grow)).toThrow("11 bytes is larger than maxBytes, 10");
    expect(living(at, ["1", "2", "3"])).toEqual(["1"]);
    expect(at.store.list("ada")).toEqual([]);
  });
});

test("without maxBytes, no number of sessions of strangers ends a process of a small heap", async () => {
  const script = `import { memoryStore } from "@lanai/session";
    const store = memoryStore();
    for (let n = 0; n < 40_000; n++) {
      store.create("ab." + n, { operation: "o" + n, publicId: "p" + n, idle: 60_000, absolute: 60_000,
        values: new Map([["d:q", "x".repeat(8_000) + n]]), owners: new Set(n ? [] : ["user:ada"]) });
    }
    console.log(store.size, store.load("ab.0").status, store.load("ab.39999").status);`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...["--conditions=@lanai/source", "--max-old-space-size=64"],
      ...["--input-type=module", "-e", script],
    ],
    { cwd: import.meta.dirname },
  );
  const [, size, first, last] = /^(\d+) (\w+) (\w+)/.exec(stdout) ?? [];
  expect(Number(size)).toBeGreaterThan(1_000);
  expect(Number(size)).toBeLessThan(30_000);
  expect([first, last]).toEqual(["live", "live"]);
});

describe("a renewed session", () => {
  test("is known by its last 8 keys", () => {
    const { store } = opened();
    store.create("aa.0", record());
    for (let n = 0; n < 10; n++) store.commit(`aa.${n}`, change({ renewTo: `aa.${n + 1}` }));
    const statuses = Array.from({ length: 11 }, (_, n) => store.load(`aa.${n}`).status);
    expect(statuses).toEqual(["none", "none", ...Array(8).fill("renewed"), "live"]);
  });

  test("takes its old keys along when it is evicted", () => {
    const { store } = opened({ maxSessions: 1 });
    store.create("aa.0", record());
    store.commit("aa.0", change({ renewTo: "aa.1" }));
    store.create("bb.0", record());
    expect(store.load("aa.0")).toEqual({ status: "none" });
    expect(store.load("aa.1")).toEqual({ status: "none" });
  });
});

describe("the memory of operations", () => {
  const FIRST = new Map([["v", "first"]]);
  const OTHER = new Map([["v", "other"]]);
  const textOf = ({ store }: ReturnType<typeof opened>, key: string) => {
    const loaded = store.load(key);
    return "record" in loaded ? loaded.record.values.get("v") : undefined;
  };

  test("holds the last four of each session, and forgets", () => {
    const at = opened();
    at.store.create("k", record());
    const first = change({ set: FIRST });
    at.store.commit("k", first);
    for (let n = 0; n < 3; n++) at.store.commit("k", change({ set: OTHER }));
    at.store.commit("k", first);
    expect(textOf(at, "k")).toBe("other");
    at.store.commit("k", change({ set: OTHER }));
    at.store.commit("k", first);
    expect(textOf(at, "k")).toBe("first");
  });

  test("is not shortened by what other sessions do", () => {
    const at = opened();
    at.store.create("k", record());
    at.store.create("other", record());
    const first = change({ set: FIRST });
    at.store.commit("k", first);
    at.store.commit("k", change({ set: OTHER }));
    for (let n = 0; n < 5_000; n++) at.store.commit("other", change({ set: FIRST }));
    at.store.commit("k", first);
    expect(textOf(at, "k")).toBe("other");
  });

  test("tells names of any form apart", () => {
    const at = opened();
    at.store.create("k", record());
    for (const operation of ["", "a", "b", "ab", "bb", "cb", "c"]) {
      const set = new Map([["v", `by "${operation}"`]]);
      at.store.commit("k", { ...change({ set }), operation });
      expect(textOf(at, "k")).toBe(`by "${operation}"`);
    }
  });
});

describe("the sweep", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const filled = (idle: number) => {
    const store = memoryStore();
    for (let n = 0; n < 1000; n++) store.create(`key ${n}`, record({ idle }));
    return store;
  };

  test("reclaims what has expired within about a minute, a part at a time", () => {
    const start = Date.now();
    const store = filled(1_000);
    let largest = 0;
    while (Date.now() - start < 65_000) {
      const before = store.size;
      vi.advanceTimersByTime(100);
      largest = Math.max(largest, before - store.size);
    }
    expect(store.size).toBe(0);
    expect(largest).toBeLessThan(50);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves the living alone", () => {
    const store = filled(3_600_000);
    vi.advanceTimersByTime(200_000);
    expect(store.size).toBe(1000);
    expect(store.load("key 7")).toMatchObject({ status: "live" });
  });

  test("forgets the old keys of renewed sessions", () => {
    const store = memoryStore();
    store.create("aa.0", record({ idle: 3_600_000 }));
    store.commit("aa.0", change({ renewTo: "aa.1" }));
    vi.advanceTimersByTime(2 * RENEWED_FOR + 5_000);
    vi.setSystemTime(Date.now() - 2 * RENEWED_FOR);
    expect(store.load("aa.0")).toEqual({ status: "none" });
    expect(store.load("aa.1")).toMatchObject({ status: "live" });
  });

  test("runs only while there is something to sweep", () => {
    const store = memoryStore();
    expect(vi.getTimerCount()).toBe(0);
    store.create("1", record());
    store.create("2", record());
    expect(vi.getTimerCount()).toBe(1);
    store.destroy("1");
    store.destroy("2");
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
    store.create("3", record());
    expect(vi.getTimerCount()).toBe(1);
  });

  test("ends with close, and is not begun again", () => {
    const store = memoryStore();
    store.create("1", record());
    store.close();
    expect(vi.getTimerCount()).toBe(0);
    store.create("2", record());
    expect(vi.getTimerCount()).toBe(0);
  });

  test("keeps no process alive", () => {
    vi.useRealTimers();
    const unref = vi.spyOn(Object.getPrototypeOf(setTimeout(() => {}, 0)), "unref");
    const store = memoryStore();
    store.create("1", record());
    expect(unref).toHaveBeenCalledOnce();
    store.close();
    unref.mockRestore();
  });
});

describe("options", () => {
  test.each([
    [{ maxSessions: 0 }, RangeError, "maxSessions must be an integer from 1, got 0"],
    [{ maxSessions: 1.5 }, RangeError, "maxSessions must be an integer from 1, got 1.5"],
    [{ maxSessions: Infinity }, RangeError, "maxSessions must be an integer from 1, got Infinity"],
    [{ maxBytes: -1 }, RangeError, "maxBytes must be an integer from 1, got -1"],
    [{ maxBytes: "1mb" }, TypeError, "maxBytes must be an integer from 1, got string"],
    [{ clock: 5 }, TypeError, "clock must be a function, got number"],
    [{ max: 5 }, TypeError, 'no option "max": its options are maxSessions, maxBytes, clock'],
  ])("%o are refused", (options, type, message) => {
    expect(() => memoryStore(options as MemoryStoreOptions)).toThrow(type);
    expect(() => memoryStore(options as MemoryStoreOptions)).toThrow(message);
  });
});
