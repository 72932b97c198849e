import type { Pool } from "pg";
import { afterAll, beforeAll } from "vitest";
import { endsItsOwnSession } from "../../session/test/own-end.ts";
import { type Database, newTable, quietStore, startDatabase } from "./database.ts";

const table = newTable();
let database: Database;
let pool: Pool;

beforeAll(async () => {
  database = await startDatabase({ fsync: "off" });
  pool = database.pool({ max: 3 });
  await quietStore(pool, { table }).migrate();
});
afterAll(() => database?.[Symbol.asyncDispose](), 60_000);

endsItsOwnSession({ name: "PostgreSQL", open: () => quietStore(pool, { table }) });
