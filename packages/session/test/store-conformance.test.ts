import {
  type IndexedStore,
  type Key,
  memoryStore,
  type SessionRecord,
  type Store,
} from "@lanai/session";
import { type StoreLimit, storeConformance } from "@lanai/session/testing";
import { describe, expect, test } from "vitest";

type Open = () => { store: Store; again?: Store; advance(ms: number): void };

interface Outcome {
  readonly names: readonly string[];
  readonly failed: readonly string[];
}

/** Runs the suite by hand and tells which cases there were and which failed. */
const outcome = async (open: Open, limits: readonly StoreLimit[] = []): Promise<Outcome> => {
  const cases: [string, () => Promise<void>][] = [];
  storeConformance({
    name: "x",
    test: (name, run) => cases.push([name, run]),
    open,
    limits,
    seed: 1,
  });
  const failed: string[] = [];
  for (const [name, run] of cases) {
    try {
      await run();
    } catch {
      failed.push(name);
    }
  }
  return { names: cases.map(([name]) => name), failed };
};

/** A memory store with a fault: what `faulty` answers replaces the store's own methods. */
const broken =
  (faulty: (store: IndexedStore, advance: (ms: number) => void) => Partial<IndexedStore>): Open =>
  () => {
    let now = Date.now();
    const advance = (ms: number) => {
      now += ms;
    };
    const store = memoryStore({ clock: () => now });
    return { store: { ...store, ...faulty(store, advance) }, advance };
  };

const recordOf = async (store: Store, key: Key): Promise<SessionRecord | undefined> => {
  const loaded = await store.load(key);
  return loaded.status === "live" ? loaded.record : undefined;
};

let operations = 0;
const fresh = () => ({ operation: `fresh ${operations++}` });

const faults: [fault: string, open: Open, caught: string][] = [
  [
    "loses updates: it loads, changes and saves everything",
    broken((store) => ({
      async commit(key, change) {
        const before = await recordOf(store, key);
        await new Promise(setImmediate);
        const values = new Map([...(before?.values ?? []), ...(change.set ?? [])]);
        for (const name of change.delete ?? []) values.delete(name);
        const others = [...((await recordOf(store, key))?.values.keys() ?? [])];
        return store.commit(key, {
          ...change,
          set: values,
          delete: new Set(others.filter((name) => !values.has(name))),
        });
      },
    })),
    "S5: concurrent commits of different entries all count",
  ],
  [
    "revives what was destroyed",
    broken((store) => {
      const seen = new Map<Key, SessionRecord>();
      return {
        async load(key) {
          const loaded = await store.load(key);
          if (loaded.status === "live") seen.set(key, loaded.record);
          return loaded;
        },
        async commit(key, change) {
          const result = await store.commit(key, change);
          const record = seen.get(key);
          if (result.status !== "gone" || !record) return result;
          await store.create(key, { ...record, ...fresh() });
          return store.commit(key, { ...change, ...fresh() });
        },
      };
    }),
    "S6: a slow writer doesn't revive a destroyed session",
  ],
  [
    "pops double: it looks before it commits, not while",
    broken((store) => ({
      async commit(key, { expect, ...change }) {
        const record = await recordOf(store, key);
        await new Promise(setImmediate);
        for (const [name, text] of expect ?? []) {
          if (record && record.values.get(name) !== text) return { status: "conflict", record };
        }
        return store.commit(key, change);
      },
    })),
    "S5: of 20 concurrent pops of one entry exactly one gets it",
  ],
  [
    "ignores operations",
    broken((store) => ({
      create: (key, record) => store.create(key, { ...record, ...fresh() }),
      commit: (key, change) => store.commit(key, { ...change, ...fresh() }),
    })),
    "S17: a repeated pop still has its value",
  ],
  [
    "keeps old keys alive",
    broken((store) => {
      const renewed = new Map<Key, Key>();
      return {
        async load(key) {
          const loaded = await store.load(key);
          return loaded.status === "renewed" ? store.load(renewed.get(key) ?? key) : loaded;
        },
        async commit(key, change) {
          const result = await store.commit(key, change);
          if (result.status === "saved") renewed.set(key, result.key);
          return result;
        },
      };
    }),
    "S7: the old key is renewed for a minute, and then none",
  ],
  [
    "forgets renewed keys at once",
    broken((store) => {
      const old = new Set<Key>();
      return {
        load: (key) => (old.has(key) ? { status: "none" } : store.load(key)),
        async commit(key, change) {
          if (old.has(key)) return { status: "gone" };
          const result = await store.commit(key, change);
          if (result.status === "saved" && change.renewTo) old.add(key);
          return result;
        },
      };
    }),
    "S7: a slow writer with the old key lands in the successor and is told its key",
  ],
  [
    "lists only whom it knew at creation",
    broken((store) => ({
      commit: (key, { addOwners: _, ...change }) => store.commit(key, change),
    })),
    "S16: a list follows owners that are given and taken",
  ],
  [
    "ends a foreign owner's session",
    broken((store) => {
      const known = new Map<string, string>();
      return {
        create(key, record) {
          for (const owner of record.owners) known.set(record.publicId, owner);
          return store.create(key, record);
        },
        destroyByPublicId: (owner, publicId) =>
          store.destroyByPublicId(known.get(publicId) ?? owner, publicId),
      };
    }),
    "S16: a public id of another owner is like an unknown one",
  ],
  [
    "misses a sign-in: it drops the whole index after it has ended what it had listed",
    broken((store) => {
      const dropped = new Set<string>();
      const list = async (owner: string) =>
        (await store.list(owner)).filter(({ publicId }) => !dropped.has(publicId));
      return {
        list,
        async destroyAll(owner, options) {
          const listed = await list(owner);
          await new Promise(setImmediate);
          const ended = [];
          for (const { publicId } of listed) {
            if (publicId === options?.except) continue;
            const one = await store.destroyByPublicId(owner, publicId);
            if (one) ended.push(one);
          }
          if (!options?.except) for (const late of await list(owner)) dropped.add(late.publicId);
          return ended;
        },
      };
    }),
    "S16: 100 sign-ins race one sign-out everywhere: each has ended or lives",
  ],
  [
    "commits first and indexes afterwards",
    broken((store) => {
      const index = new Set<string>();
      const enlist = async (record: SessionRecord | undefined) => {
        await new Promise(setImmediate);
        if (record) index.add(record.publicId);
      };
      const list = async (owner: string) =>
        (await store.list(owner)).filter(({ publicId }) => index.has(publicId));
      return {
        list,
        async create(key, record) {
          await store.create(key, record);
          await enlist(await recordOf(store, key));
          return key;
        },
        async commit(key, change) {
          const result = await store.commit(key, change);
          if (result.status === "saved" && change.addOwners) {
            await enlist(await recordOf(store, result.key));
          }
          return result;
        },
        async destroyAll(owner, options) {
          const ended = [];
          for (const { publicId } of await list(owner)) {
            if (publicId === options?.except) continue;
            const one = await store.destroyByPublicId(owner, publicId);
            if (one) ended.push(one);
          }
          return ended;
        },
      };
    }),
    "S16: a sign-in that another process sees is ended by its sign-out everywhere",
  ],
  [
    "touches before it has checked",
    broken((store) => ({
      async commit(key, change) {
        if (change.touch && !change.renewTo) await store.commit(key, { ...fresh(), touch: true });
        return store.commit(key, change);
      },
    })),
    "S17: a repeated touch doesn't extend again",
  ],
  [
    "applies by halves: owners although the expectation failed",
    broken((store) => ({
      async commit(key, change) {
        const result = await store.commit(key, change);
        const { addOwners } = change;
        if (result.status === "conflict" && addOwners) {
          await store.commit(key, { ...fresh(), addOwners });
        }
        return result;
      },
    })),
    "S5: every expectation must hold, or nothing is applied",
  ],
  [
    "extends with every commit",
    broken((store) => ({
      commit: (key, change) => store.commit(key, { ...change, touch: true }),
    })),
    "S8: a commit without a touch doesn't extend",
  ],
  [
    "forgets the absolute time when it touches",
    broken((store) => ({
      commit: (key, change) =>
        store.commit(key, change.touch ? { ...change, restart: true } : change),
    })),
    "S8: a touch never passes the absolute end",
  ],
  [
    "creates over what is there",
    broken((store) => ({
      async create(key, record) {
        await store.destroy(key);
        return store.create(key, record);
      },
    })),
    "S2: create on a key in use fails and leaves the first session as it was",
  ],
  [
    "hands out the caller's own objects",
    broken((store) => {
      const given = new Map<string, ReadonlyMap<string, string>>();
      return {
        create(key, record) {
          given.set(record.publicId, record.values);
          return store.create(key, record);
        },
        async load(key) {
          const loaded = await store.load(key);
          if (loaded.status !== "live") return loaded;
          const values = given.get(loaded.record.publicId) ?? loaded.record.values;
          return { ...loaded, record: { ...loaded.record, values } };
        },
      };
    }),
    "S5: a record that was handed out never changes",
  ],
  [
    "keeps entries in a plain object",
    broken((store) => ({
      async load(key) {
        const loaded = await store.load(key);
        if (loaded.status !== "live") return loaded;
        const object: Record<string, string> = {};
        for (const [name, text] of loaded.record.values) object[name] = text;
        return { ...loaded, record: { ...loaded.record, values: new Map(Object.entries(object)) } };
      },
    })),
    "S4: what was created is loaded, to the character",
  ],
  [
    "folds the case of its keys",
    broken((store) => ({
      create: (key, record) => store.create(key.toLowerCase(), record),
      load: (key) => store.load(key.toLowerCase()),
    })),
    "S2: keys, entries and owners are told apart by case",
  ],
  [
    "says Infinity as null",
    broken((store) => ({
      create: (key, record) =>
        store.create(key, { ...record, absolute: JSON.parse(JSON.stringify(record.absolute)) }),
    })),
    "S8: an absolute time of Infinity never ends",
  ],
];

describe("a store fails the suite that", () => {
  test.each(faults)("%s", async (_, open, caught) => {
    const { failed } = await outcome(open);
    expect(failed).toContain(`${caught} (x)`);
  });
});

const sound: Open = broken(() => ({}));

describe("the suite", () => {
  test("passes for a sound store, by the names of laws", async () => {
    const { names, failed } = await outcome(sound);
    expect(failed).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^(S\d+|Store): .* \(x\)$/);
  });

  test("closes what it has opened, whether the case passes or fails", async () => {
    let open = 0;
    const { names, failed } = await outcome(() => {
      open += 1;
      const close = () => {
        open -= 1;
      };
      return { ...broken(() => ({ load: () => ({ status: "none" }) }))(), close };
    });
    expect(failed.length).toBeGreaterThan(10);
    expect(failed.length).toBeLessThan(names.length);
    expect(open).toBe(0);
  });

  test("notices that two handles are not on one store", async () => {
    const { failed } = await outcome(() => ({ ...sound(), again: memoryStore() }));
    expect(failed).toContain("S4: what was created is loaded, to the character (x)");
  });

  test("tells the seed of random operations that fail", async () => {
    let message = "";
    const runs: Promise<void>[] = [];
    storeConformance({
      name: "x",
      seed: 4711,
      open: broken((store) => ({ list: async (owner) => (await store.list(owner)).slice(1) })),
      test: (name, run) => {
        if (!name.includes("random")) return;
        runs.push(
          run().catch((error) => {
            message = String(error);
          }),
        );
      },
    });
    await Promise.all(runs);
    expect(message).toContain("with the seed 4711");
  });

  test("holds for any seed", async () => {
    const runs: Promise<void>[] = [];
    for (let seed = 0; seed < 50; seed++) {
      storeConformance({
        name: "x",
        seed,
        open: sound,
        test: (name, run) => name.includes("random") && runs.push(run()),
      });
    }
    await Promise.all(runs);
    expect(runs).toHaveLength(50);
  });

  test("refuses a limit that there isn't", () => {
    const limits = ["speed"] as unknown as StoreLimit[];
    expect(() => storeConformance({ name: "x", test, open: sound, limits })).toThrow(
      'there is no limit "speed": there are index, revoke',
    );
  });
});

describe("a limit", () => {
  test.each<StoreLimit>([
    "index",
    "revoke",
    "final",
    "merge",
    "once",
    "renewed",
    "taken",
    "repeat",
    "large",
    "forever",
  ])("%s that a store hasn't is not to be claimed", async (limit) => {
    const { failed } = await outcome(sound, [limit]);
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatch(/^limit: /);
  });

  test("runs in place of the tests of its law", async () => {
    const { names } = await outcome(sound, ["index"]);
    expect(names.filter((name) => name.startsWith("S16"))).toEqual([]);
    expect(names).toContain("limit: sessions can't be found by owner (x)");
  });

  test("excuses a plain get, set and destroy", async () => {
    const { names, failed } = await outcome(plainStore, [
      "index",
      "final",
      "merge",
      "once",
      "renewed",
      "taken",
      "repeat",
    ]);
    expect(failed).toEqual([]);
    expect(names.length).toBeGreaterThan(40);
  });
});

/** What can be made of a store with get, set and destroy alone, each one round trip. */
const plainStore: Open = () => {
  let now = Date.now();
  const rows = new Map<Key, SessionRecord>();
  const roundTrip = () => new Promise(setImmediate);
  const get = async (key: Key) => {
    await roundTrip();
    const record = rows.get(key);
    const end = record && Math.min(record.seenAt + record.idle, record.startedAt + record.absolute);
    return end !== undefined && end > now ? record : undefined;
  };
  const put = async (key: Key, record: SessionRecord) => {
    await roundTrip();
    rows.set(key, record);
  };
  const store: Store = {
    async load(key) {
      const record = await get(key);
      return record ? { status: "live", record, now } : { status: "none" };
    },
    async create(key, { operation: _, ...record }) {
      const values = new Map(record.values);
      const owners = new Set(record.owners);
      await put(key, { ...record, values, owners, createdAt: now, startedAt: now, seenAt: now });
      return key;
    },
    async commit(key, change) {
      const record = await get(key);
      if (!record) return { status: "gone" };
      for (const [name, text] of change.expect ?? []) {
        if (record.values.get(name) !== text) return { status: "conflict", record };
      }
      const values = new Map([...record.values, ...(change.set ?? [])]);
      for (const name of change.delete ?? []) values.delete(name);
      const owners = new Set([...record.owners, ...(change.addOwners ?? [])]);
      for (const owner of change.removeOwners ?? []) owners.delete(owner);
      const target = change.renewTo ?? key;
      await put(target, {
        ...record,
        values,
        owners,
        idle: change.idle ?? record.idle,
        absolute: change.absolute ?? record.absolute,
        seenAt: change.touch ? now : record.seenAt,
        startedAt: change.restart ? now : record.startedAt,
      });
      if (target !== key) rows.delete(key);
      return { status: "saved", key: target };
    },
    async destroy(key) {
      const record = await get(key);
      rows.delete(key);
      return record && { publicId: record.publicId, owners: record.owners };
    },
  };
  const advance = (ms: number) => {
    now += ms;
  };
  return { store, advance };
};
