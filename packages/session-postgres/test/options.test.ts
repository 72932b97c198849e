import { type PostgresStoreOptions, postgresStore } from "@lanai/session-postgres";
import { Pool } from "pg";
import { expect, onTestFinished, test, vi } from "vitest";

test.each([
  [{ table: "Sessions" }, RangeError, 'at most 40 characters, got "Sessions"'],
  [{ table: 'a"; DROP TABLE users; --' }, RangeError, "table must be"],
  [{ table: "a.b.c" }, RangeError, "table must be"],
  [{ table: "" }, RangeError, 'got ""'],
  [{ table: "a".repeat(41) }, RangeError, "at most 40 characters"],
  [
    { table: 5 },
    TypeError,
    'table must be "name" or "schema.name" of a-z, 0-9 and _, at most 40 characters, got 5',
  ],
  [{ prepare: 1 }, TypeError, "prepare must be a boolean, got number"],
  [{ sweepInterval: 999 }, RangeError, "from 1000 to 86400000 or Infinity, got 999"],
  [{ sweepInterval: 86_400_001 }, RangeError, "got 86400001"],
  [{ sweepInterval: "1m" }, TypeError, "got string"],
  [{ maxWaiting: 0 }, RangeError, "maxWaiting must be an integer from 1, got 0"],
  [{ maxWaiting: Infinity }, RangeError, "got Infinity"],
  [{ maxWaiting: "1000" }, TypeError, "got string"],
  [{ ttl: 5 }, TypeError, "options are table, prepare, sweepInterval, maxWaiting"],
  [null, TypeError, "the options must be an object"],
])("the options %o are refused", (options, type, message) => {
  const open = () => postgresStore(new Pool(), options as PostgresStoreOptions);
  expect(open).toThrow(type);
  expect(open).toThrow(message);
});

test("the longest names are accepted", () => {
  const store = postgresStore(new Pool(), { table: "a".repeat(40), sweepInterval: Infinity });
  for (const [name = ""] of store.schema.matchAll(/(?<=")\w+(?=")/g)) {
    expect(name.length).toBeLessThan(64);
  }
});

test.each([undefined, null, {}, "postgres://localhost"])("a pool that is %o is refused", (pool) => {
  expect(() => postgresStore(pool as unknown as Pool)).toThrow(
    "postgresStore: the first argument must be a Pool of pg, got",
  );
});

test("a store keeps no process alive, and lets go of the pool when it is closed", () => {
  const pool = new Pool();
  const store = postgresStore(pool);
  expect(pool.listenerCount("error")).toBe(1);
  store.close();
  store.close();
  expect(pool.listenerCount("error")).toBe(0);
});

test.each([
  ["a serialization failure", "40001"],
  ["a deadlock", "40P01"],
])("a statement that always meets %s is tried 32 times, and fails with it", async (_, code) => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  const refused = Object.assign(new Error("refused"), { code, severity: "ERROR" });
  const query = vi.fn(() => Promise.reject(refused));
  const client = { query, release: vi.fn(), on: vi.fn(), off: vi.fn() };
  const pool = { connect: () => Promise.resolve(client), on: vi.fn(), off: vi.fn() };
  const store = postgresStore(pool, { sweepInterval: Infinity });
  await expect(store.load("ab.key")).rejects.toMatchObject({ code });
  expect(query).toHaveBeenCalledTimes(32);
});
