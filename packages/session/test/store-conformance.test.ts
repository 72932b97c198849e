import { type IndexedStore, memoryStore, SessionError, type Store } from "@lanai/session";
import type { Key, Loaded, SessionRecord } from "@lanai/session/store";
import { type OpenedStore, type StoreLimit, storeConformance } from "@lanai/session/testing";
import { describe, expect, test, vi } from "vitest";

type Open = () => OpenedStore;

interface Outcome {
  readonly names: readonly string[];
  readonly failed: readonly string[];
  /** What each that failed has said. */
  readonly messages: ReadonlyMap<string, string>;
}

/** Runs the suite by hand and tells which cases there were and which failed. */
const outcome = async (
  open: Open,
  limits: readonly StoreLimit[] = [],
  isMeant: (name: string) => boolean = () => true,
): Promise<Outcome> => {
  const cases: [string, () => Promise<void>][] = [];
  storeConformance({
    name: "x",
    test: (name, run) => isMeant(name) && cases.push([name, run]),
    open,
    limits,
    seed: 1,
  });
  const messages = new Map<string, string>();
  for (const [name, run] of cases) {
    try {
      await run();
    } catch (error) {
      messages.set(name, (error as Error).message);
    }
  }
  return { names: cases.map(([name]) => name), failed: [...messages.keys()], messages };
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
    "S19: a slow writer with the old key writes to the successor, and keeps the old key",
  ],
  [
    "gives a slow writer the successor's key",
    broken((store) => {
      const successors = new Map<Key, Key>();
      return {
        async commit(key, change) {
          const result = await store.commit(key, change);
          if (result.status !== "saved") return result;
          if (change.renewTo) successors.set(key, change.renewTo);
          return { ...result, key: successors.get(key) ?? result.key };
        },
      };
    }),
    "S19: a slow writer with the old key writes to the successor, and keeps the old key",
  ],
  [
    "shows a slow writer the successor's record",
    broken((store) => {
      const successors = new Map<Key, Key>();
      return {
        async commit(key, change) {
          const result = await store.commit(key, change);
          if (result.status === "saved" && change.renewTo) successors.set(key, change.renewTo);
          const record = await recordOf(store, successors.get(key) ?? key);
          const isBesideRenewal = result.status === "renewed" && change.expect !== undefined;
          return isBesideRenewal && record ? { status: "conflict", record } : result;
        },
      };
    }),
    "S19: an expectation that fails by an old key is renewed, and nothing of the record returns",
  ],
  [
    "lets old keys write after a change of the user",
    broken((store) => ({
      commit: (key, { userChanged: _, ...change }) => store.commit(key, change),
    })),
    "S19: after a renewal that changed the user every older key is renewed and applies nothing",
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
    for (const name of names) expect(name).toMatch(/^([SU]\d+|Store): .* \(x\)$/);
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

/** What an outage leaves of a call: it waits for the backend in steps, as over a network. */
interface Backend {
  isReachable: boolean;
  /** What the timer of a sound store does. */
  sweep(): void;
}

const CALLS = [
  ...(["load", "create", "commit", "destroy"] as const),
  ...(["list", "destroyByPublicId", "destroyAll", "commitByPublicId"] as const),
];

/** A store on a backend that can be cut off. `faulty` replaces some of its calls. */
const remote =
  (
    faulty: (
      store: IndexedStore,
      backend: Backend,
      inner: IndexedStore,
    ) => Partial<IndexedStore> = () => ({}),
    others: Partial<OpenedStore> = {},
  ): Open =>
  () => {
    let now = Date.now();
    const inner = memoryStore({ clock: () => now });
    const keys = new Set<Key>();
    const backend: Backend = {
      isReachable: true,
      sweep() {
        for (const key of keys) if (inner.load(key).status === "none") keys.delete(key);
      },
    };
    const trip = async () => {
      for (let steps = 0; steps < 3; steps++) {
        if (!backend.isReachable) throw new Error("connection refused");
        await new Promise(setImmediate);
      }
    };
    const calls = CALLS.map((name) => [
      name,
      async (...args: [never, never, never]) => {
        await trip();
        const result: unknown = inner[name](...args);
        if (name === "create") keys.add(args[0]);
        await trip();
        return result;
      },
    ]);
    const store = { ...inner, ...Object.fromEntries(calls) } as IndexedStore;
    return {
      store: { ...store, ...faulty(store, backend, inner) },
      advance(ms) {
        now += ms;
      },
      cut() {
        backend.isReachable = false;
      },
      heal() {
        backend.isReachable = true;
      },
      size: () => keys.size,
      sweep: () => backend.sweep(),
      ...others,
    };
  };

/** Resolves to what a run comes to, whose waiting costs no time. */
const withoutWaiting = async <T>(run: () => Promise<T>): Promise<T> => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  try {
    let isOver = false;
    const ended = run().finally(() => {
      isOver = true;
    });
    while (!isOver) await vi.advanceTimersByTimeAsync(1_000);
    return await ended;
  } finally {
    vi.useRealTimers();
  }
};

const OUTAGE =
  "S10: while the backend is unreachable every call rejects, and afterwards works again (x)";
const INTERRUPTED =
  "S10: what an outage interrupts is applied whole or not at all, and once if it is repeated (x)";
const SWEPT = "Store: what has expired is deleted, also if nobody asks for it again (x)";

describe("a store whose backend can be cut off", () => {
  test("passes if every call rejects, and nothing is applied by halves", async () => {
    const { failed } = await outcome(remote());
    expect(failed).toEqual([]);
  });

  test.each<[string, Open, string]>([
    [
      "load returns none",
      remote((store) => ({
        load: async (key) => Promise.resolve(store.load(key)).catch(() => ({ status: "none" })),
      })),
      'load of a live session returned {"status":"none"}',
    ],
    [
      "load returns what a cache remembers",
      remote((store) => {
        const cached = new Map<Key, Loaded>();
        return {
          async load(key) {
            try {
              const loaded = await store.load(key);
              cached.set(key, loaded);
              return loaded;
            } catch (error) {
              const loaded = cached.get(key);
              if (loaded) return loaded;
              throw error;
            }
          },
          async create(key, record) {
            await store.create(key, record);
            cached.set(key, await store.load(key));
            return key;
          },
        };
      }),
      "returned",
    ],
    [
      "commit returns gone",
      remote((store) => ({
        commit: async (key, change) =>
          Promise.resolve(store.commit(key, change)).catch(() => ({ status: "gone" })),
      })),
      'commit returned {"status":"gone"}',
    ],
    [
      "destroy returns nothing",
      remote((store) => ({
        destroy: async (key, operation) =>
          Promise.resolve(store.destroy(key, operation)).catch(() => undefined),
      })),
      "destroy returned undefined",
    ],
    [
      "list is empty",
      remote((store) => ({
        list: async (owner) => Promise.resolve(store.list(owner)).catch(() => []),
      })),
      "list returned 0 sessions",
    ],
    [
      "destroyAll ends nobody",
      remote((store) => ({
        destroyAll: async (owner, options) =>
          Promise.resolve(store.destroyAll(owner, options)).catch(() => []),
      })),
      "destroyAll returned 0 sessions",
    ],
    [
      "create says that the key is in use",
      remote((store) => ({
        create: async (key, record) =>
          Promise.resolve(store.create(key, record)).catch(() => {
            throw new SessionError("ERR_SESSION_KEY_TAKEN", "the key is in use");
          }),
      })),
      "create rejected with ERR_SESSION_KEY_TAKEN",
    ],
  ])("fails if during an outage %s", async (_, open, said) => {
    const { messages } = await outcome(open, [], (name) => name.startsWith("S10"));
    expect(messages.get(OUTAGE)).toContain(said);
    expect(messages.get(OUTAGE)).toMatch(/\d+ of 32 calls didn't reject/);
  });

  test("fails if a call waits for the end of the outage", async () => {
    const waiting = remote((store, backend) => ({
      async load(key) {
        if (!backend.isReachable) await new Promise(() => {});
        return store.load(key);
      },
    }));
    const { messages } = await withoutWaiting(() =>
      outcome(waiting, [], (name) => name === OUTAGE),
    );
    expect(messages.get(OUTAGE)).toContain("load of a live session didn't settle within 30000 ms");
  });

  test("fails if a commit takes two steps, and the outage comes between", async () => {
    const halving = remote((store) => ({
      async commit(key, { addOwners, removeOwners, ...change }) {
        if (addOwners) {
          await store.commit(key, { ...fresh(), addOwners, ...(removeOwners && { removeOwners }) });
        }
        return store.commit(key, change);
      },
    }));
    const { messages } = await withoutWaiting(() =>
      outcome(halving, [], (name) => name === INTERRUPTED),
    );
    expect(messages.get(INTERRUPTED)).toContain(
      "a login that an outage interrupted was applied by half: the old key is live",
    );
  });

  test("fails if it forgets, with its connection, what it has carried out", async () => {
    const forgetful = remote((store) => ({
      commit: (key, change) => store.commit(key, { ...change, ...fresh() }),
    }));
    const { failed } = await outcome(forgetful, [], (name) => name === INTERRUPTED);
    expect(failed).toEqual([INTERRUPTED]);
  });

  test("fails if it deletes what has expired only when somebody asks for it", async () => {
    const { messages } = await withoutWaiting(() =>
      outcome(
        remote(() => ({}), { sweep: () => {} }),
        [],
        (name) => name === SWEPT,
      ),
    );
    expect(messages.get(SWEPT)).toContain(
      "10 of 10 records are still there 20 s after they expired",
    );
  });
});

describe("a failure says what was counted", () => {
  const messageOf = async (open: Open, name: string): Promise<string | undefined> =>
    (await outcome(open, [], (it) => it.startsWith(name))).messages.get(`${name} (x)`);

  test("of changes that were lost", async () => {
    const lossy = broken((store) => ({
      commit(key, { operation, set, ...change }) {
        const isLost = set?.has("entry 7") || set?.has("entry 9");
        return store.commit(key, { ...change, operation, ...(set && !isLost && { set }) });
      },
    }));
    expect(await messageOf(lossy, "S5: concurrent commits of different entries all count")).toMatch(
      /^2 of 50 concurrent changes were lost/,
    );
  });

  test("of updates, pops and creators", async () => {
    const blind = broken((store) => ({
      commit: (key, { expect: _, ...change }) => store.commit(key, change),
    }));
    expect(
      await messageOf(blind, "S5: of 50 concurrent updates of one entry all 50 count"),
    ).toMatch(/^\d+ of 50 concurrent updates were lost/);
    expect(
      await messageOf(blind, "S5: of 20 concurrent pops of one entry exactly one gets it"),
    ).toMatch(/^20 of 20 concurrent pops got the entry/);
    expect(
      await messageOf(blind, "S5: of 20 concurrent creators of one entry exactly one makes it"),
    ).toMatch(/^20 of 20 concurrent creators made the entry/);
  });
});

test("a case that gives up stops its attempts", async () => {
  let calls = 0;
  const stubborn = broken((store) => ({
    async commit(key, change) {
      calls += 1;
      await new Promise(setImmediate);
      const record = (await recordOf(store, key)) as SessionRecord;
      return change.expect ? { status: "conflict", record } : store.commit(key, change);
    },
  }));
  const name = "S5: of 50 concurrent updates of one entry all 50 count (x)";
  const { messages } = await outcome(stubborn, [], (it) => it === name);
  expect(messages.get(name)).toContain("gave up after 1000 conflicts");
  const before = calls;
  for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
  expect(calls).toBe(before);
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
