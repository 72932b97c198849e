import { storeConformance } from "@lanai/session/testing";
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, test } from "vitest";
import { age, type Database, newTable, quietStore, startDatabase } from "./database.ts";

/** The isolation levels that a database may have as its default; each pool is a process's. */
const LEVELS = ["read committed", "repeatable read", "serializable"];

let database: Database;

beforeAll(async () => {
  database = await startDatabase({ fsync: "off" });
}, 60_000);

afterAll(() => database[Symbol.asyncDispose]());

describe.each(LEVELS)("at %s", (level) => {
  const table = newTable();
  let pools: [Pool, Pool];

  beforeAll(async () => {
    const options = `-c default_transaction_isolation=${level.replace(" ", "\\ ")}`;
    pools = [database.pool({ options }), database.pool({ options })];
    await quietStore(pools[0], { table }).migrate();
  });

  storeConformance({
    name: `PostgreSQL, ${level}`,
    test: (name, run) => test(name, { timeout: 30_000 }, run),
    open: () => ({
      store: quietStore(pools[0], { table }),
      again: quietStore(pools[1], { table, prepare: false }),
      advance: (ms) => age(pools[0], table, ms),
    }),
  });
});
