import { randomUUID } from "node:crypto";
import type { NewRecord } from "@lanai/session/store";
import { storeConformance } from "@lanai/session/testing";
import { fromKoaStore, type KoaStore } from "@lanai/session-compat";
import { describe, expect, test } from "vitest";

const KEY = "ab.key";

const record = (given: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: "public",
  values: new Map(),
  owners: new Set(),
  idle: 60_000,
  absolute: 3_600_000,
  ...given,
});

/** A store as the README of koa-session shows one: it hands out the very objects that it was given. */
class LiveObjects implements KoaStore {
  readonly sessions: Map<string, object> = new Map();
  readonly maxAges: number[] = [];

  get(key: string, _maxAge: unknown, { rolling }: { rolling: boolean }): unknown {
    return rolling ? undefined : this.sessions.get(key);
  }

  set(key: string, session: object, maxAge: number): void {
    this.sessions.set(key, session);
    this.maxAges.push(maxAge);
  }

  destroy(key: string): void {
    this.sessions.delete(key);
  }
}

storeConformance({
  name: "a koa-session store that answers at once",
  test,
  limits: ["index"],
  open() {
    let now = Date.now();
    return {
      store: fromKoaStore(new LiveObjects(), { clock: () => now }),
      advance(ms) {
        now += ms;
      },
    };
  },
});

describe("fromKoaStore", () => {
  test("puts a prefix before each key", async () => {
    const wrapped = new LiveObjects();
    await fromKoaStore(wrapped).create(KEY, record());
    await fromKoaStore(wrapped, { prefix: "koa:sess:" }).create(KEY, record());
    expect([...wrapped.sessions.keys()]).toEqual([`lanai:${KEY}`, `koa:sess:${KEY}`]);
  });

  test("tells the wrapped store for how long to keep a session, in milliseconds", async () => {
    const wrapped = new LiveObjects();
    const store = fromKoaStore(wrapped);
    await store.create(KEY, record({ idle: 5 * 60_000 }));
    await store.create("ab.forever", record({ idle: Infinity, absolute: Infinity }));
    const [five = 0, forever = 0] = wrapped.maxAges;
    expect(five).toBeGreaterThan(5 * 60_000 - 1_000);
    expect(five).toBeLessThanOrEqual(5 * 60_000);
    expect(Number.isSafeInteger(forever)).toBe(true);
    const stored = wrapped.sessions.get("lanai:ab.forever");
    expect(stored).toMatchObject({ lanai: { idle: null, absolute: null } });
    expect(await store.load("ab.forever")).toMatchObject({ record: { idle: Infinity } });
  });

  test("asks for whole milliseconds", async () => {
    const wrapped = new LiveObjects();
    let now = 1_000_000;
    const store = fromKoaStore(wrapped, {
      clock() {
        now += 0.3;
        return now;
      },
    });
    await store.create(KEY, record({ idle: 120_000 }));
    expect(wrapped.maxAges).toEqual([120_000]);
  });

  test("asks for a minute at least, also for what a change has ended", async () => {
    const wrapped = new LiveObjects();
    const store = fromKoaStore(wrapped);
    await store.create(KEY, record({ idle: 5_000 }));
    await store.commit(KEY, { operation: randomUUID(), absolute: 0 });
    expect(wrapped.maxAges).toEqual([60_000, 60_000]);
    expect(await store.load(KEY)).toEqual({ status: "none" });
  });

  test("follows the keys of a session that was renewed twice, until it has ended", async () => {
    const store = fromKoaStore(new LiveObjects());
    await store.create(KEY, record());
    await store.commit(KEY, { operation: randomUUID(), renewTo: "ab.second" });
    await store.commit("ab.second", { operation: randomUUID(), renewTo: "ab.third" });
    expect(await store.load(KEY)).toEqual({ status: "renewed" });
    await store.destroy("ab.third");
    expect(await store.load(KEY)).toEqual({ status: "none" });
  });

  test("rejects where the wrapped store does, whatever with", async () => {
    const wrapped = new LiveObjects();
    wrapped.get = () => Promise.reject(undefined);
    await expect(fromKoaStore(wrapped).load(KEY)).rejects.toThrow("the wrapped store failed");
  });

  test.each([
    [
      {},
      {},
      "the first argument must be a store with get, set and destroy, such as koaRedis({ client })",
    ],
    [new LiveObjects(), { key: 5 }, 'there is no option "key": its options are clock, prefix'],
    [new LiveObjects(), { prefix: 5 }, "prefix must be a string, got 5"],
  ])("refuses %o, %o", (store, options, message) => {
    const call = () => fromKoaStore(store as never, options as never);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(`fromKoaStore: ${message}`);
  });
});
