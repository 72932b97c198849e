import { createSessions, encrypted, memoryStore } from "@lanai/session";
import type { Change, IndexedStore, SessionRecord, Store } from "@lanai/session/store";
import { storeConformance } from "@lanai/session/testing";
import { describe, expect, test } from "vitest";
import { site } from "./site.ts";

const KEY = "the first key has thirty-two bytes";
const OLD_KEY = "an older key has thirty-two bytes too";
const keys = [KEY];

for (const [what, own, others] of [
  ["in memory", [KEY], [KEY]],
  ["in memory, while two processes rotate keys", [KEY, OLD_KEY], [OLD_KEY, KEY]],
] as const) {
  storeConformance({
    name: `encrypted, ${what}`,
    test,
    // `LONG=1` tries all orders of two holders of a session.
    orders: process.env.LONG ? 87_500 : 200,
    open() {
      let ahead = 0;
      const memory = memoryStore({ clock: () => Date.now() + ahead });
      return {
        store: encrypted(memory, { keys: own }),
        again: encrypted(memory, { keys: others }),
        advance: (ms) => {
          ahead += ms;
        },
      };
    },
  });
}

let operations = 0;
const change = (given: Partial<Change>): Change => ({ operation: `${operations++}`, ...given });

const newRecord = (publicId: string, values: Record<string, string>) => ({
  operation: `${operations++}`,
  publicId,
  values: new Map(Object.entries(values)),
  owners: new Set<string>(),
  idle: 60_000,
  absolute: 3_600_000,
});

const recordOf = async (store: Store, key: string): Promise<SessionRecord> => {
  const loaded = await store.load(key);
  if (loaded.status !== "live") throw new Error(`the session is ${loaded.status}`);
  return loaded.record;
};

const valueIn = async (store: Store, key: string, name = "a") =>
  (await recordOf(store, key)).values.get(name);

/** A store that counts the calls that pass through it. */
function counted(store: IndexedStore) {
  const calls: string[] = [];
  const passing = {
    ...store,
    load(key: string) {
      calls.push("load");
      return store.load(key);
    },
    commit(key: string, it: Change) {
      calls.push("commit");
      return store.commit(key, it);
    },
  };
  return { store: passing, calls };
}

describe("the store", () => {
  test("holds no text of an entry, and equal texts of different entries differ", async () => {
    const memory = memoryStore();
    const store = encrypted(memory, { keys });
    await store.create("ab.1", newRecord("one", { a: "secret", b: "secret" }));
    await store.commit("ab.1", change({ set: new Map([["c", "secret"]]) }));
    await store.create("ab.2", newRecord("two", { a: "secret" }));
    const sealed = [
      ...(await recordOf(memory, "ab.1")).values.values(),
      ...(await recordOf(memory, "ab.2")).values.values(),
    ];
    expect(new Set(sealed).size).toBe(4);
    for (const text of sealed) expect(text).toMatch(/^e1\.[\w-]+$/);
    expect(JSON.stringify(sealed)).not.toContain("secret");
  });

  test("holds owners, public ids, names of entries and times readably", async () => {
    const memory = memoryStore();
    const store = encrypted(memory, { keys });
    const owners = new Set(["user:ada"]);
    await store.create("ab.1", { ...newRecord("one", { "d:cart": "secret" }), owners });
    const record = await recordOf(memory, "ab.1");
    expect(record).toMatchObject({ publicId: "one", owners, idle: 60_000 });
    expect([...record.values.keys()]).toEqual(["d:cart"]);
    expect((await store.list("user:ada"))[0]?.values).toEqual(new Map([["d:cart", "secret"]]));
  });
});

describe("a text opens only where it was sealed", () => {
  /** What `a` of session one reads when the store's text for it was replaced. */
  const readWith = async (tamper: (memory: Store) => Promise<string>) => {
    const memory = memoryStore();
    const store = encrypted(memory, { keys });
    await store.create("ab.1", newRecord("one", { a: "1", b: "2" }));
    await store.create("ab.2", newRecord("two", { a: "3" }));
    const text = await tamper(memory);
    memory.commit("ab.1", change({ set: new Map([["a", text]]) }));
    return valueIn(encrypted(memory, { keys }), "ab.1");
  };

  test("as it is", async () => {
    expect(await readWith(async (it) => (await valueIn(it, "ab.1")) ?? "")).toBe("1");
  });

  test.each<[string, (memory: Store) => Promise<string>]>([
    ["another entry's", async (it) => (await valueIn(it, "ab.1", "b")) ?? ""],
    ["another session's", async (it) => (await valueIn(it, "ab.2")) ?? ""],
    ["plain", async () => "1"],
    ["empty", async () => ""],
    ["cut", async (it) => (await valueIn(it, "ab.1"))?.slice(0, -4) ?? ""],
    ["of another version", async (it) => (await valueIn(it, "ab.1"))?.replace("e1", "e2") ?? ""],
    ["too short", async () => "e1.AAAA"],
  ])("%s text doesn't", async (_what, tamper) => {
    expect(await readWith(tamper)).toMatch(/^!/);
  });

  test("no bit can be flipped", async () => {
    const memory = memoryStore();
    const store = encrypted(memory, { keys });
    await store.create("ab.1", newRecord("one", { a: "1" }));
    const sealed = Buffer.from((await valueIn(memory, "ab.1"))?.slice(3) ?? "", "base64url");
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      const text = `e1.${flipped.toString("base64url")}`;
      memory.commit("ab.1", change({ set: new Map([["a", text]]) }));
      expect(await valueIn(store, "ab.1")).toBe(`!${text}`);
    }
  });

  test("it survives renewals", async () => {
    const store = encrypted(memoryStore(), { keys });
    await store.create("ab.1", newRecord("one", { a: "1" }));
    await store.commit("ab.1", change({ renewTo: "ab.2" }));
    expect(await valueIn(store, "ab.2")).toBe("1");
  });
});

test("a session whose entries don't open is a 500 where they are read, and still signs in and out", async () => {
  const memory = memoryStore();
  const routes = {
    "/set": (ctx: { session: { set(key: string, value: unknown): unknown } }) =>
      void ctx.session.set("a", 1),
    "/read": (ctx: { session: { get(key: string): unknown } }) => `${ctx.session.get("a")}`,
    "/in": (ctx: { session: { login(user: string): unknown } }) => void ctx.session.login("ada"),
    "/out": (ctx: { session: { destroy(): Promise<void> } }) => ctx.session.destroy(),
  };
  for (const then of ["/in", "/out"]) {
    const sealing = createSessions({ store: encrypted(memory, { keys: [OLD_KEY] }) });
    const { headers } = await sealing.create({ values: { a: 1 } });
    await using it = await site(routes, { store: encrypted(memory, { keys }) });
    const codes: unknown[] = [];
    const ask = (path: string) => fetch(it.url + path, { headers });
    expect((await ask("/read")).status).toBe(500);
    for (const error of it.errors) codes.push((error as { code?: unknown }).code);
    expect(codes).toEqual(["ERR_SESSION_DECODE"]);
    expect((await ask(then)).status).toBe(204);
    expect(await (await ask("/read")).text()).toBe("undefined");
  }
});

describe("keys rotate", () => {
  test("what the old key sealed opens until it is removed, and is sealed by the new one when it is written", async () => {
    const memory = memoryStore();
    await encrypted(memory, { keys: [OLD_KEY] }).create(
      "ab.1",
      newRecord("one", { a: "1", b: "2" }),
    );
    const both = encrypted(memory, { keys: [KEY, OLD_KEY] });
    expect(await valueIn(both, "ab.1")).toBe("1");
    await both.commit("ab.1", change({ set: new Map([["a", "3"]]) }));
    const fresh = encrypted(memory, { keys: [KEY] });
    expect(await valueIn(fresh, "ab.1")).toBe("3");
    expect(await valueIn(fresh, "ab.1", "b")).toMatch(/^!/);
  });
});

describe("compare-and-set", () => {
  const increment = (from: string, to: string) =>
    change({ expect: new Map([["a", from]]), set: new Map([["a", to]]) });

  test("is one call, whether or not the wrapper has seen the session", async () => {
    const { store, calls } = counted(memoryStore());
    await encrypted(store, { keys }).create("ab.1", newRecord("one", { a: "1" }));
    for (const n of [1, 2, 3]) {
      const of = { ...increment(`${n}`, `${n + 1}`), publicId: "one" };
      expect((await encrypted(store, { keys }).commit("ab.1", of)).status).toBe("saved");
    }
    expect(calls).toEqual(["commit", "commit", "commit"]);
  });

  test("on what an older key sealed is two calls", async () => {
    const { store, calls } = counted(memoryStore());
    await encrypted(store, { keys: [OLD_KEY] }).create("ab.1", newRecord("one", { a: "1" }));
    const rotated = encrypted(store, { keys: [KEY, OLD_KEY] });
    const by = (from: string, to: string) => ({ ...increment(from, to), publicId: "one" });
    expect((await rotated.commit("ab.1", by("1", "2"))).status).toBe("saved");
    expect(calls).toEqual(["commit", "commit"]);
    expect((await rotated.commit("ab.1", by("2", "3"))).status).toBe("saved");
    expect(calls).toEqual(["commit", "commit", "commit"]);
  });

  test.each([
    ["the key of the session", "ab.1"],
    ["a renewed key", "ab.2"],
  ])("that was applied on a later attempt isn't applied again, by %s", async (_what, now) => {
    const memory = memoryStore();
    await encrypted(memory, { keys: [OLD_KEY] }).create("ab.1", newRecord("one", { a: "1" }));
    const rotated = encrypted(memory, { keys: [KEY, OLD_KEY] });
    if (now !== "ab.1") await rotated.commit("ab.1", change({ renewTo: now }));
    const take = {
      ...change({ delete: new Set(["a"]), expect: new Map([["a", "1"]]) }),
      publicId: "one",
    };
    const first = await rotated.commit("ab.1", take);
    expect(first.status).toBe("saved");
    expect(await encrypted(memory, { keys: [KEY, OLD_KEY] }).commit("ab.1", take)).toEqual(first);
    expect(await rotated.commit("ab.1", take)).toEqual(first);
  });

  test("that doesn't hold is a conflict with the opened record", async () => {
    for (const own of [keys, [KEY, OLD_KEY]]) {
      const one = encrypted(memoryStore(), { keys: own });
      await one.create("ab.1", newRecord("one", { a: "1" }));
      const result = await one.commit("ab.1", increment("0", "2"));
      expect(result).toMatchObject({ status: "conflict", record: { publicId: "one" } });
      if (result.status === "conflict") expect(result.record.values.get("a")).toBe("1");
    }
  });
});

test.each<[string, string]>([
  ["its own key", "ab.1"],
  ["a renewed key", "ab.0"],
])(
  "S17: a pop by %s is one pop, though a repeat is applied between its attempts",
  async (_, key) => {
    const memory = memoryStore();
    const one = encrypted(memory, { keys: [OLD_KEY] });
    await one.create("ab.0", newRecord("one", { a: "1" }));
    await one.commit("ab.0", change({ renewTo: "ab.1" }));
    const pop = change({
      publicId: "one",
      expect: new Map([["a", "1"]]),
      delete: new Set(["a"]),
    });
    let attempts = 0;
    const rotating = encrypted(
      {
        ...memory,
        async commit(at: string, it: Change) {
          const result = memory.commit(at, it);
          attempts += 1;
          if (attempts === 1) expect(await one.commit(key, pop)).toMatchObject({ status: "saved" });
          return result;
        },
      },
      { keys: [KEY, OLD_KEY] },
    );
    expect(await rotating.commit(key, pop)).toMatchObject({ status: "saved" });
    expect(attempts).toBeGreaterThan(1);
  },
);

test.each([
  { a: "1", b: "3" },
  { a: "3", b: "2" },
  { a: "1", b: "2" },
])("S4: by a renewed key texts are expected that different keys have sealed (%o)", async (now) => {
  const memory = memoryStore();
  await encrypted(memory, { keys: [OLD_KEY] }).create("ab.0", newRecord("one", { a: "1", b: "2" }));
  const store = encrypted(memory, { keys: [KEY, OLD_KEY] });
  const written = Object.entries(now).filter(([, text]) => text === "3");
  await store.commit("ab.0", change({ set: new Map(written), renewTo: "ab.1" }));
  const expecting = (b: string) =>
    change({
      publicId: "one",
      expect: new Map<string, string | undefined>([
        ["a", now.a],
        ["c", undefined],
        ["b", b],
      ]),
      set: new Map([["c", "4"]]),
    });
  expect(await store.commit("ab.0", expecting("other"))).toEqual({ status: "renewed" });
  expect(await store.commit("ab.0", expecting(now.b))).toMatchObject({ status: "saved" });
});

test("a change by a renewed key needs the public id, which the manager always says", async () => {
  const memory = memoryStore();
  const one = encrypted(memory, { keys });
  await one.create("ab.1", newRecord("one", { a: "1" }));
  await one.commit("ab.1", change({ renewTo: "ab.2" }));
  const other = encrypted(memory, { keys });
  const set = new Map([["a", "2"]]);
  await expect(other.commit("ab.1", change({ set }))).rejects.toThrow("needs its publicId");
  await other.commit("ab.1", change({ set, publicId: "one" }));
  expect(await valueIn(other, "ab.2")).toBe("2");
});

test("the manager's changes carry the public id", async () => {
  const memory = memoryStore();
  const changes: Change[] = [];
  const store = {
    ...memory,
    commit(key: string, it: Change) {
      changes.push(it);
      return memory.commit(key, it);
    },
  };
  const sessions = createSessions({ store });
  const { session } = await sessions.create({ values: { a: 1 } });
  await session.set("b", 2).commit();
  await session.update("a", (a) => Number(a) + 1);
  await session.pop("b");
  session.login("ada");
  await session.commit();
  expect(changes).toHaveLength(4);
  for (const { publicId } of changes) expect(publicId).toBe(session.publicId);
});

describe("options", () => {
  test.each<[string, unknown, string]>([
    ["none", undefined, "the options must be an object"],
    ["no keys", { keys: [] }, "keys must be an array of at least one secret"],
    ["one key", { keys: KEY }, "keys must be an array of at least one secret"],
    ["a short key", { keys: [KEY, "hunter2"] }, "keys[1] must have at least 32 bytes, got 7"],
    ["another", { keys, key: KEY }, 'there is no option "key"'],
  ])("%s", (_what, options, message) => {
    expect(() => encrypted(memoryStore(), options as never)).toThrow(message);
  });

  test("what is no store", () => {
    expect(() => encrypted({} as never, { keys })).toThrow("the first argument must be a store");
  });
});
