import { storeClocks } from "@lanai/session/testing";
import type { Pool } from "pg";
import { afterAll, test } from "vitest";
import { age, type Database, quietStore, startDatabase } from "./database.ts";

let database: Database;
let pool: Pool;

afterAll(() => database[Symbol.asyncDispose]());

storeClocks({
  name: "PostgreSQL",
  test: (name, run) => test(name, run),
  after: afterAll,
  async store() {
    database = await startDatabase({ fsync: "off" });
    pool = database.pool();
    await quietStore(pool).migrate();
    return {
      module: new URL("open-store.ts", import.meta.url).href,
      options: database.server.connection,
    };
  },
  advance: (ms) => age(pool, "lanai_sessions", ms),
});
