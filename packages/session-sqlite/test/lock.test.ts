import { setImmediate as turn } from "node:timers/promises";
import { sqliteStore } from "@lanai/session-sqlite";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { connect, newFile } from "./files.ts";
import { type LockHolder, lockHolder } from "./lock-holder.ts";
import { change, holding, newKey, record, setting } from "./records.ts";

const opened = (file: string, options: Parameters<typeof sqliteStore>[1] = {}) => {
  const store = sqliteStore(file, options);
  onTestFinished(() => store.close());
  return store;
};

/** Whether a promise is settled, once all that is ready has run. */
const isPending = async (promise: unknown): Promise<boolean> => {
  for (let turns = 0; turns < 10; turns++) await turn();
  const pending = Symbol("pending");
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
};

let file: string;
let other: LockHolder;

beforeEach(async () => {
  file = newFile();
  other = await lockHolder(file);
});

describe("while another process holds the lock", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("a write waits until it is let in", async () => {
    const store = opened(file);
    const key = newKey();
    await store.create(key, holding("1"));
    await other.lock();
    const answers = [store.commit(key, setting("2")), store.create(newKey(), record())];
    await vi.advanceTimersByTimeAsync(1_400);
    for (const answer of answers) expect(await isPending(answer)).toBe(true);

    await other.unlock();
    await vi.advanceTimersByTimeAsync(20);
    expect(await answers[0]).toEqual({ status: "saved", key });
    expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "2"]]) } });
    expect(store.commit(key, setting("3"))).toEqual({ status: "saved", key });
  });

  test.each([
    [undefined, 1_500],
    [400, 400],
  ])("a write fails after busyTimeout (%s), and is not applied later", async (busyTimeout, ms) => {
    const store = opened(file, busyTimeout === undefined ? {} : { busyTimeout });
    const key = newKey();
    await store.create(key, holding("1"));
    await other.lock();
    const answer = Promise.resolve(store.commit(key, setting("2"))).catch((error) => error);
    await vi.advanceTimersByTimeAsync(ms - 20);
    expect(await isPending(answer)).toBe(true);
    await vi.advanceTimersByTimeAsync(40);
    expect(await answer).toMatchObject({ code: "ERR_SQLITE_ERROR", errcode: 5 });

    await other.unlock();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "1"]]) } });
  });

  test("with a busyTimeout of 0 a write fails at its second try", async () => {
    const store = opened(file, { busyTimeout: 0 });
    await other.lock();
    const answer = Promise.resolve(store.create(newKey(), record())).catch((error) => error);
    await vi.advanceTimersByTimeAsync(1);
    expect(await answer).toMatchObject({ errcode: 5 });
  });

  test("reads are answered at once, and see what was before", async () => {
    const store = opened(file);
    const key = newKey();
    await store.create(key, record({ owners: new Set(["ada"]), values: new Map([["v", "1"]]) }));
    await other.lock();
    const waiting = store.commit(key, setting("2"));
    expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "1"]]) } });
    expect(store.list("ada")).toHaveLength(1);
    await other.unlock();
    await vi.advanceTimersByTimeAsync(20);
    await waiting;
  });

  test("writes are applied in the order in which they came, however many", async () => {
    const store = opened(file);
    const key = newKey();
    await store.create(key, holding("0"));
    await other.lock();
    const answers = Array.from({ length: 1_000 }, (_, n) => {
      const expected = new Map([["v", String(n)]]);
      return store.commit(key, { ...setting(String(n + 1)), expect: expected });
    });
    await vi.advanceTimersByTimeAsync(500);
    await other.unlock();
    // Who comes now must not overtake those who wait.
    const late = store.commit(key, { ...setting("last"), expect: new Map([["v", "1000"]]) });
    await vi.advanceTimersByTimeAsync(100);
    const statuses = (await Promise.all([...answers, late])).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set(["saved"]));
    expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "last"]]) } });
  });

  test("a session that expires while a write waits is gone", async () => {
    let now = Date.now();
    const store = opened(file, { clock: () => now });
    const key = newKey();
    await store.create(key, record({ idle: 1_000 }));
    await other.lock();
    const answer = store.commit(key, change({ touch: true }));
    now += 1_000;
    await other.unlock();
    await vi.advanceTimersByTimeAsync(20);
    expect(await answer).toEqual({ status: "gone" });
  });

  test("a store that is closed answers those who wait with an error", async () => {
    const store = opened(file);
    await other.lock();
    const answer = Promise.resolve(store.create(newKey(), record())).catch((error) => error);
    store.close();
    await vi.advanceTimersByTimeAsync(20);
    expect(await answer).toBeInstanceOf(Error);
  });
});

test("waiting for a lock doesn't hold up the event loop", async () => {
  // If SQLite itself waited, nothing here would go on until it gave up.
  const store = opened(file, { busyTimeout: 20_000 });
  await other.lock();
  const key = newKey();
  const answer = store.create(key, record());
  for (let turns = 0; turns < 100; turns++) await turn();
  expect(await isPending(answer)).toBe(true);
  await other.unlock();
  expect(await answer).toBe(key);
});

describe("while the app is in a transaction on the connection that it shares", () => {
  test("reads and writes wait for its end, and are no part of it", async () => {
    const database = connect(file);
    const store = sqliteStore(database);
    onTestFinished(() => store.close());
    database.exec("CREATE TABLE orders (n INTEGER)");
    const key = newKey();
    await store.create(key, holding("1"));

    database.exec("BEGIN; INSERT INTO orders VALUES (1)");
    const write = store.commit(key, setting("2"));
    const read = store.load(key);
    for (const answer of [write, read]) expect(await isPending(answer)).toBe(true);
    database.exec("ROLLBACK");

    expect(await write).toEqual({ status: "saved", key });
    expect(await read).toMatchObject({ status: "live" });
    expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "2"]]) } });
    expect(database.prepare("SELECT count(*) AS n FROM orders").get()?.n).toBe(0);
  });

  test("they fail after busyTimeout, with an error that says why", async () => {
    const database = connect(file);
    const store = sqliteStore(database, { busyTimeout: 20 });
    onTestFinished(() => store.close());
    database.exec("BEGIN");
    await expect(store.load(newKey())).rejects.toThrow("the app has a transaction open");
    database.exec("ROLLBACK");
    expect(store.load(newKey())).toEqual({ status: "none" });
  });
});

describe("opening", () => {
  test("waits for another process that holds the lock", async () => {
    await other.lock(50);
    expect(opened(file, { busyTimeout: 60_000 }).load(newKey())).toEqual({ status: "none" });
  });

  test("fails if the lock is held for longer than busyTimeout", async () => {
    await other.lock();
    expect(() => sqliteStore(file, { busyTimeout: 50 })).toThrow("database is locked");
  });
});
