import { type PostgresStoreOptions, postgresStore } from "@lanai/session-postgres";
import { Pool } from "pg";
import { expect, test } from "vitest";

test.each([
  [{ table: "Sessions" }, RangeError, 'at most 40 characters, got "Sessions"'],
  [{ table: 'a"; DROP TABLE users; --' }, RangeError, "table must be"],
  [{ table: "a.b.c" }, RangeError, "table must be"],
  [{ table: "" }, RangeError, 'got ""'],
  [{ table: "a".repeat(41) }, RangeError, "at most 40 characters"],
  [{ table: 5 }, TypeError, "table must be a string, got number"],
  [{ prepare: 1 }, TypeError, "prepare must be a boolean, got number"],
  [{ sweepInterval: 999 }, RangeError, "from 1000 to 2147483647, or Infinity, got 999"],
  [{ sweepInterval: 2 ** 31 }, RangeError, "got 2147483648"],
  [{ sweepInterval: "1m" }, RangeError, "got 1m"],
  [{ ttl: 5 }, TypeError, 'no option "ttl": its options are table, prepare, sweepInterval'],
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
  expect(() => postgresStore(pool as unknown as Pool)).toThrow("pool must be a Pool of pg");
});

test("a store keeps no process alive, and lets go of the pool when it is closed", () => {
  const pool = new Pool();
  const store = postgresStore(pool);
  expect(pool.listenerCount("error")).toBe(1);
  store.close();
  store.close();
  expect(pool.listenerCount("error")).toBe(0);
});
