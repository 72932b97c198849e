import type { Pool } from "pg";
import { afterAll, beforeAll } from "vitest";
import { isLong } from "../../../scripts/testing/chance.ts";
import { startCuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import { CLIENT_TIMEOUT, lostAnswers } from "../../session/test/lost-answers.ts";
import { type Database, newTable, quietStore, startDatabase } from "./database.ts";

interface Table {
  readonly name: string;
  readonly ready: Promise<unknown>;
}

/** A space is a table. */
const tables = new Map<number, Table>();
let database: Database;
let direct: Pool;

/** Every message of the protocol but the first of a connection begins with its kind. */
const isCommand = (chunk: Buffer) => /[PBQ]/.test(String.fromCharCode(chunk[0] ?? 0));

beforeAll(async () => {
  database = await startDatabase({ fsync: "off" });
  direct = database.pool();
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
});

function tableOf(space: number): Table {
  const known = tables.get(space);
  if (known) return known;
  const name = newTable();
  const table = { name, ready: quietStore(direct, { table: name }).migrate() };
  tables.set(space, table);
  return table;
}

const timeouts = [undefined, CLIENT_TIMEOUT, ...(isLong ? [CLIENT_TIMEOUT / 2] : [])];

for (const query_timeout of timeouts) {
  lostAnswers({
    name: `PostgreSQL, query_timeout ${query_timeout}`,
    startProxy: () => startCuttingProxy({ target: database.server.port, isCommand }),
    async direct(space) {
      const { name, ready } = tableOf(space);
      await ready;
      return quietStore(direct, { table: name });
    },
    open(port, space) {
      const pool = database.pool({
        port,
        max: 3,
        ...(query_timeout !== undefined && { query_timeout }),
      });
      const store = quietStore(pool, { table: tableOf(space).name });
      return {
        store,
        async close() {
          await pool.end();
          store.close();
        },
      };
    },
  });
}
