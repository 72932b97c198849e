import type { PostgresStoreOptions } from "@lanai/session-postgres";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import {
  knowsPreparedStatements,
  type PgbouncerOptions,
  startPgbouncer,
} from "../../../scripts/services/pgbouncer.ts";
import { Browser } from "../../session/test/http.ts";
import { type Database, quietStore, startDatabase } from "./database.ts";
import { site } from "./site.ts";

let database: Database;

beforeAll(async () => {
  database = await startDatabase();
  await quietStore(database.pool()).migrate();
});
afterAll(() => database?.[Symbol.asyncDispose](), 60_000);

/** An app whose pool has `max` connections to a PgBouncer, which has two to the server. */
async function behind(
  options: Omit<PgbouncerOptions, "server">,
  { max, ...storeOptions }: PostgresStoreOptions & { readonly max: number },
) {
  const proxy = await startPgbouncer({ server: database.server, ...options });
  const pool = database.pool({ port: proxy.port, max });
  const it = await site({ store: quietStore(pool, storeOptions) });
  onTestFinished(async () => {
    await it[Symbol.asyncDispose]();
    await pool.end();
    await proxy[Symbol.asyncDispose]();
  });
  return it;
}

/** Signs in, counts from eight requests at once, and signs out. Returns the statuses that aren't 200. */
async function use(it: Awaited<ReturnType<typeof behind>>): Promise<number[]> {
  const browser = new Browser(it);
  const login = await browser.get("/login");
  const counts = await Promise.all(Array.from({ length: 8 }, () => browser.get("/count")));
  const failed = [login, ...counts].map(({ status }) => status).filter((it) => it !== 200);
  if (failed.length > 0) return failed;
  expect(await browser.text("/read")).toBe("ada: 8");
  expect(await browser.text("/logout")).toBe("out");
  expect(await browser.text("/read")).toBe("undefined: 0");
  return [];
}

test("PgBouncer by the session: everything works, with prepared statements", async () => {
  expect(await use(await behind({ poolMode: "session" }, { max: 2 }))).toEqual([]);
});

test("PgBouncer by the transaction: everything works with prepare: false", async () => {
  const it = await behind({ poolMode: "transaction" }, { max: 8, prepare: false });
  expect(await use(it)).toEqual([]);
});

test("PgBouncer by the transaction, which keeps no prepared statements: 503 with prepare: true", async () => {
  const settings = knowsPreparedStatements() ? { max_prepared_statements: "0" } : {};
  const it = await behind({ poolMode: "transaction", settings }, { max: 8 });
  expect(await use(it)).toContain(503);
  expect(String(it.errors[0]?.cause)).toMatch(/prepared statement .* (?:does not|already) exist/);
});

// Debian 12 has 1.18.
if (knowsPreparedStatements()) {
  test("PgBouncer by the transaction, from 1.21: everything works with max_prepared_statements", async () => {
    const settings = { max_prepared_statements: "100" };
    expect(await use(await behind({ poolMode: "transaction", settings }, { max: 8 }))).toEqual([]);
  });
}
