import { isPaged } from "@lanai/session/store";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../../session/test/http.ts";
import { age, type Database, newTable, quietStore, startDatabase } from "./database.ts";
import { site } from "./site.ts";

/** What a request costs, counted by the server. */

const table = newTable();
let database: Database;
let pool: Pool;
let admin: Pool;

beforeAll(async () => {
  database = await startDatabase({
    fsync: "off",
    shared_preload_libraries: "pg_stat_statements",
    "pg_stat_statements.track": "all",
  });
  admin = database.pool();
  await admin.query("CREATE EXTENSION pg_stat_statements");
  pool = database.pool();
  await quietStore(pool, { table }).migrate();
});

afterAll(() => database[Symbol.asyncDispose]());

/** The statements, transactions' own included, that the server has executed since. */
const statementsOf = async (work: () => Promise<unknown>): Promise<number> => {
  await admin.query("SELECT pg_stat_statements_reset()");
  await work();
  const { rows } = await admin.query(
    "SELECT COALESCE(sum(calls), 0)::int AS calls FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'",
  );
  return rows[0].calls;
};

const opened = () => site({ store: quietStore(pool, { table }) });

test("the store can go through all of its sessions", () => {
  expect(isPaged(quietStore(pool, { table }))).toBe(true);
});

test("a visitor without a session costs no statement", async () => {
  await using at = await opened();
  expect(await statementsOf(() => new Browser(at).get("/nothing"))).toBe(0);
  expect(await statementsOf(() => new Browser(at).get("/read"))).toBe(0);
});

test("a new session is one statement", async () => {
  await using at = await opened();
  expect(await statementsOf(() => new Browser(at).get("/set?n=1"))).toBe(1);
  expect(await statementsOf(() => new Browser(at).get("/login"))).toBe(1);
});

test("a request that reads is one statement, one that writes is two", async () => {
  await using at = await opened();
  const browser = new Browser(at);
  await browser.get("/set?n=1");
  expect(await statementsOf(() => browser.get("/nothing"))).toBe(1);
  expect(await statementsOf(() => browser.get("/read"))).toBe(1);
  expect(await statementsOf(() => browser.get("/set?n=2"))).toBe(2);
  expect(await statementsOf(() => browser.get("/count"))).toBe(2);
});

test("a login and a logout are one statement each, after the load", async () => {
  await using at = await opened();
  const browser = new Browser(at);
  await browser.get("/set?n=1");
  expect(await statementsOf(() => browser.get("/login"))).toBe(2);
  expect(await statementsOf(() => browser.get("/logout"))).toBe(2);
});

test("a request that reads after a tenth of the idle time is two statements", async () => {
  await using at = await opened();
  const browser = new Browser(at);
  await browser.get("/set?n=1");
  await age(admin, table, 4 * 60_000);
  expect(await statementsOf(() => browser.get("/read"))).toBe(2);
  expect(await statementsOf(() => browser.get("/read"))).toBe(1);
});
