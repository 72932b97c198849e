import { encrypted } from "@lanai/session";
import { storeConformance } from "@lanai/session/testing";
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, test } from "vitest";
import { oneOrAll } from "../../../scripts/testing/chance.ts";
import { type SwitchedProxy, startSwitchedProxy } from "../../../scripts/testing/switched-proxy.ts";
import { age, countRows, type Database, newTable, quietStore, startDatabase } from "./database.ts";

/**
 * The isolation levels that a database may have as its default; each pool is a process's. The short
 * form tries one of them.
 */
const LEVELS = ["read committed", "repeatable read", "serializable"];

let database: Database;

beforeAll(async () => {
  database = await startDatabase({ fsync: "off" });
});

afterAll(() => database[Symbol.asyncDispose]());

describe.each(oneOrAll(LEVELS))("at %s", (level) => {
  const table = newTable();
  let pools: [Pool, Pool];
  let proxy: SwitchedProxy;

  afterAll(() => proxy[Symbol.asyncDispose]());

  beforeAll(async () => {
    proxy = await startSwitchedProxy(database.server.connection.port);
    const options = `-c default_transaction_isolation=${level.replace(" ", "\\ ")}`;
    const config = { options, host: "127.0.0.1", port: proxy.port };
    pools = [database.pool(config), database.pool(config)];
    await quietStore(pools[0], { table }).migrate();
  });

  storeConformance({
    name: `PostgreSQL, ${level}`,
    test: (name, run) => test(name, run),
    open() {
      const store = quietStore(pools[0], { table });
      return {
        store,
        again: quietStore(pools[1], { table, prepare: false }),
        advance: (ms) => age(pools[0], table, ms),
        cut: () => proxy.cut(),
        heal: () => proxy.heal(),
        size: () => countRows(pools[0], table),
        async sweep() {
          await store.sweep();
        },
      };
    },
  });
});

describe("encrypted", () => {
  const table = newTable();
  const keys = ["the first key has thirty-two bytes", "an older key has thirty-two bytes too"];
  let pools: [Pool, Pool];

  beforeAll(async () => {
    pools = [database.pool({}), database.pool({})];
    await quietStore(pools[0], { table }).migrate();
  });

  storeConformance({
    name: "encrypted, PostgreSQL",
    test: (name, run) => test(name, run),
    orders: 100,
    open: () => ({
      store: encrypted(quietStore(pools[0], { table }), { keys }),
      // Another process, to which the new key hasn't come yet as the first.
      again: encrypted(quietStore(pools[1], { table }), { keys: keys.toReversed() }),
      advance: (ms) => age(pools[0], table, ms),
    }),
  });
});
