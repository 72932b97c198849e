import type { Pool } from "pg";
import { afterAll } from "vitest";
import { clocksApart } from "../../session/test/two-processes/clocks.ts";
import { age, type Database, quietStore, startDatabase } from "./database.ts";

let database: Database;
let pool: Pool;

afterAll(() => database[Symbol.asyncDispose]());

clocksApart({
  name: "PostgreSQL",
  async prepare() {
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
