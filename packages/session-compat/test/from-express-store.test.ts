import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import type { Change, NewRecord } from "@lanai/session/store";
import { type ExpressStore, fromExpressStore } from "@lanai/session-compat";
import { MemoryStore } from "express-session";
import { afterEach, describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";

const MINUTE = 60_000;
const KEY = "ab.key";

const record = (given: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: "public",
  values: new Map([["d:cart", '"a secret"']]),
  owners: new Set(["user:ada"]),
  idle: 30 * MINUTE,
  absolute: 24 * 60 * MINUTE,
  ...given,
});

const change = (given: Partial<Change> = {}): Change => ({ operation: randomUUID(), ...given });

/** What is under a key, as the wrapped store holds it. */
const held = (memory: MemoryStore, key = KEY): Promise<Record<string, unknown> | undefined> =>
  new Promise((resolve) => {
    memory.get(key, (_error, session) => resolve(session as never));
  });

/** A store whose calls all answer with `error`. */
const failing = (error: unknown): ExpressStore => ({
  get: (_id, callback) => callback(error),
  set: (_id, _session, callback) => callback(error),
  destroy: (_id, callback) => callback(error),
});

const failure = async (call: () => unknown): Promise<Error & { code?: string }> => {
  try {
    await call();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it did not fail");
};

afterEach(() => void vi.useRealTimers());

describe("fromExpressStore", () => {
  test("says what it can't do, also in its type", () => {
    const { limits } = fromExpressStore(new MemoryStore());
    const [everywhere]: readonly ["index"] = limits.everywhere;
    const acrossProcesses: readonly ["final", "merge", "once"] = limits.acrossProcesses;
    expect(everywhere).toBe("index");
    expect(acrossProcesses).toEqual(["final", "merge", "once"]);
  });

  test("tells the wrapped store when a session ends, as a cookie of express-session", async () => {
    const memory = new MemoryStore();
    const store = fromExpressStore(memory);
    await store.create(KEY, record());
    const { cookie } = (await held(memory)) as { cookie: Record<string, unknown> };
    const left = Date.parse(cookie.expires as string) - Date.now();
    expect(left).toBeGreaterThan(29 * MINUTE);
    expect(left).toBeLessThanOrEqual(30 * MINUTE);
    expect(cookie).toMatchObject({ originalMaxAge: expect.any(Number), path: "/", httpOnly: true });
  });

  test("reads and writes beside what other programs keep in the wrapped store", async () => {
    const memory = new MemoryStore();
    const store = fromExpressStore(memory);
    const foreign = { cookie: { originalMaxAge: null }, user: "ada" };
    await store.create("ab.other", record());
    const { lanai } = (await held(memory, "ab.other")) as { lanai: object };
    for (const session of [foreign, { ...foreign, lanai: { ...lanai, version: 2 } }]) {
      await new Promise((resolve) => memory.set(KEY, session as never, resolve));
      expect(await store.load(KEY)).toEqual({ status: "none" });
      expect(await store.commit(KEY, change({ touch: true }))).toEqual({ status: "gone" });
      expect(await store.destroy(KEY)).toBeUndefined();
      expect(await held(memory)).toEqual(session);
    }
  });

  test("remembers the last 8 operations of a session, and no more", async () => {
    const memory = new MemoryStore();
    const store = fromExpressStore(memory);
    await store.create(KEY, record());
    const changes = Array.from({ length: 9 }, (_, n) =>
      change({ set: new Map([["d:n", `${n}`]]) }),
    );
    for (const each of changes) await store.commit(KEY, each);
    const { lanai } = (await held(memory)) as { lanai: { operations: unknown } };
    expect(lanai.operations).toEqual(changes.slice(1).map(({ operation }) => operation));
  });

  test("takes ENOENT of get for a missing session", async () => {
    const store = fromExpressStore(
      failing(Object.assign(new Error("no file"), { code: "ENOENT" })),
    );
    expect(await store.load(KEY)).toEqual({ status: "none" });
  });

  test("works with a store that calls back at once", async () => {
    const sessions = new Map<string, object>();
    const store = fromExpressStore({
      get: (id, callback) => callback(null, sessions.get(id)),
      set: (id, session, callback) => {
        sessions.set(id, session);
        callback();
      },
      destroy: (id, callback) => {
        sessions.delete(id);
        callback();
      },
    });
    await store.create(KEY, record());
    await store.commit(KEY, change({ set: new Map([["d:a", "1"]]) }));
    expect(await store.load(KEY)).toMatchObject({ status: "live" });
    expect(await store.destroy(KEY)).toEqual({
      publicId: "public",
      owners: new Set(["user:ada"]),
    });
    expect(sessions.size).toBe(0);
  });
});

describe("calls of the wrapped store", () => {
  test("are one to load, two to create, commit and destroy, and five to renew", async () => {
    const memory = new MemoryStore();
    const spies = (["get", "set", "destroy", "touch"] as const).map((name) =>
      vi.spyOn(memory, name),
    );
    const store = fromExpressStore(memory);
    const cost = async (call: () => unknown) => {
      for (const spy of spies) spy.mockClear();
      await call();
      return spies.map((spy) => spy.mock.calls.length);
    };
    expect(await cost(() => store.create(KEY, record()))).toEqual([1, 1, 0, 0]);
    expect(await cost(() => store.load(KEY))).toEqual([1, 0, 0, 0]);
    expect(await cost(() => store.commit(KEY, change({ touch: true })))).toEqual([1, 1, 0, 0]);
    const renewal = change({ renewTo: "ab.next" });
    expect(await cost(() => store.commit(KEY, renewal))).toEqual([3, 2, 0, 0]);
    expect(await cost(() => store.load(KEY))).toEqual([2, 0, 0, 0]);
    expect(await cost(() => store.destroy("ab.next"))).toEqual([1, 0, 1, 0]);
  });
});

describe("a renewal beside another process", () => {
  /** What the other process does under the old key, right after the marker is written there. */
  const beside = async (other: (memory: MemoryStore) => void) => {
    const memory = new MemoryStore();
    const store = fromExpressStore(memory);
    await store.create(KEY, record());
    const before = memory.set.bind(memory);
    vi.spyOn(memory, "set").mockImplementation((id, session, callback) => {
      before(id, session, (error) => {
        if (id === KEY) other(memory);
        callback?.(error);
      });
    });
    const result = await store.commit(KEY, change({ renewTo: "ab.next" }));
    return { result, store, next: await store.load("ab.next") };
  };

  const put = (memory: MemoryStore, key: string, lanai: object) =>
    Object.assign((memory as unknown as { sessions: Record<string, string> }).sessions, {
      [key]: JSON.stringify({ cookie: {}, lanai }),
    });

  test("that renewed last is the second", async () => {
    const { result, next } = await beside((memory) => {
      put(memory, KEY, { version: 1, successor: "ab.other", until: Date.now() + MINUTE });
    });
    expect(result).toEqual({ status: "renewed" });
    expect(next).toEqual({ status: "none" });
  });

  test("that signed out last finds the session gone", async () => {
    const { result, next } = await beside((memory) => memory.destroy(KEY));
    expect(result).toEqual({ status: "gone" });
    expect(next).toEqual({ status: "none" });
  });

  test("that wrote last is to be tried again", async () => {
    const twin = new MemoryStore();
    await fromExpressStore(twin).create(KEY, record({ publicId: "written beside" }));
    const live = (await held(twin))?.lanai as object;
    const { result, store, next } = await beside((memory) => put(memory, KEY, live));
    expect(result).toMatchObject({ status: "conflict", record: { publicId: "written beside" } });
    expect(next).toEqual({ status: "none" });
    expect(await store.load(KEY)).toMatchObject({ status: "live" });
  });
});

describe("a wrapped store that fails", () => {
  const calls = (store: ReturnType<typeof fromExpressStore>) => [
    () => store.load(KEY),
    () => store.create(KEY, record()),
    () => store.commit(KEY, change({ touch: true })),
    () => store.destroy(KEY),
  ];

  test("is never taken for one without the session", async () => {
    const store = fromExpressStore(failing(new Error("connection refused")));
    for (const call of calls(store)) {
      expect((await failure(call)).message).toBe("the wrapped store failed: connection refused");
    }
  });

  test("rejects also when it throws at once", async () => {
    const store = fromExpressStore({
      ...failing(undefined),
      get: () => {
        throw new Error("connection closed");
      },
    });
    for (const call of calls(store)) {
      expect((await failure(call)).message).toContain("connection closed");
    }
  });

  test("tells its code, and no key and no value, whatever its error holds", async () => {
    const error = Object.assign(
      new Error(`ERR unknown command 'set', with args beginning with: '${KEY}' 'a secret'`),
      { code: "ECODE", command: { args: [KEY, "a secret"] }, cause: new Error("a secret") },
    );
    const told = await failure(() => fromExpressStore(failing(error)).load(KEY));
    expect(told.code).toBe("ECODE");
    expect(told.message).toBe("the wrapped store failed: ERR unknown command");
    expect(inspect(told, { depth: 9 })).not.toMatch(/secret|ab\.key/);
  });

  test("may throw what is no error", async () => {
    for (const thrown of ["a secret", { secret: 1 }, new Error("'a secret'")]) {
      const told = await failure(() => fromExpressStore(failing(thrown)).load(KEY));
      expect(told.message).toBe("the wrapped store failed: it didn't say why");
    }
  });

  test("to call back is given up after 30 seconds, and holds no later call", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const memory = new MemoryStore();
    const store = fromExpressStore(memory);
    await store.create(KEY, record());
    const lost = vi.spyOn(memory, "set").mockImplementationOnce(() => {});
    const first = failure(() => store.commit(KEY, change({ set: new Map([["d:a", "1"]]) })));
    const second = store.commit(KEY, change({ set: new Map([["d:b", "1"]]) }));
    await until(() => expect(lost).toHaveBeenCalled());
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(30_000);
    expect((await first).message).toContain("no answer within 30000 ms");
    expect(await second).toEqual({ status: "saved", key: KEY });
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("a call that is never answered keeps no process alive", () => {
  const unref = vi.spyOn(Object.getPrototypeOf(setTimeout(() => {}, 0)), "unref");
  void fromExpressStore({ ...failing(undefined), get: () => {} }).load(KEY);
  expect(unref).toHaveBeenCalledOnce();
  unref.mockRestore();
});

describe("arguments", () => {
  test.each([
    [undefined, {}, "the first argument must be a store with get, set and destroy"],
    [{ get() {}, set() {} }, {}, "such as new RedisStore({ client }) of connect-redis"],
    [new MemoryStore(), { ttl: 5 }, 'there is no option "ttl": its options are clock'],
    [new MemoryStore(), { clock: 5 }, "clock must be a function, got number"],
  ])("%o, %o are refused", (store, options, message) => {
    const call = () => fromExpressStore(store as never, options as never);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  });
});
