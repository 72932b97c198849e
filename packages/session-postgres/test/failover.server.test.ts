import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { type PostgresServer, startPostgres } from "../../../scripts/services/postgres.ts";
import { type CuttingProxy, startCuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";
import { type Database, quietStore, startDatabase } from "./database.ts";
import { site } from "./site.ts";

let database: Database;
let standby: PostgresServer;
/** The address of the app's database, which leads to whichever server is the primary. */
let proxy: CuttingProxy;

beforeAll(async () => {
  database = await startDatabase();
  const { server } = database;
  await quietStore(database.pool()).migrate();
  standby = await startPostgres({ standbyOf: server });
  proxy = await startCuttingProxy({ target: server.port, isCommand: () => false });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await standby?.stop();
});

/** Makes the primary read-only and the standby the primary. Connections that are open stay. */
async function failOver(): Promise<void> {
  const admin = database.pool();
  await admin.query("ALTER SYSTEM SET default_transaction_read_only = on");
  await admin.query("SELECT pg_reload_conf()");
  await until(async () => {
    const { rows } = await admin.query("SHOW default_transaction_read_only");
    expect(rows).toEqual([{ default_transaction_read_only: "on" }]);
  });
  const promoted = database.pool({ port: standby.port });
  await until(async () => {
    const [{ rows: ours }, { rows: theirs }] = await Promise.all([
      admin.query("SELECT pg_current_wal_lsn() AS at"),
      promoted.query("SELECT pg_last_wal_replay_lsn() AS at"),
    ]);
    expect(theirs).toEqual(ours);
  });
  await promoted.query("SELECT pg_promote()");
  proxy.target = standby.port;
}

test("a server that takes no writes is asked once on a new connection, and then it is a 503", async () => {
  const at = await site({ store: quietStore(database.pool()) });
  onTestFinished(() => at[Symbol.asyncDispose]());
  const ada = new Browser(at);
  await ada.get("/login");
  const pool = database.pool({ options: "-c default_transaction_read_only=on" });
  const connected = vi.fn();
  pool.on("connect", connected);
  const reading = await site({ store: quietStore(pool) });
  onTestFinished(() => reading[Symbol.asyncDispose]());
  const reader = new Browser(reading);
  for (const [name, value] of ada.cookies) reader.cookies.set(name, value);
  for (let n = 0; n < 3; n++) expect(await reader.text("/read")).toBe("ada: 0");
  expect((await reader.get("/set?n=1")).status).toBe(503);
  expect(reading.errors).toMatchObject([{ cause: { code: "25006" } }]);
  expect(connected).toHaveBeenCalledTimes(2);
});

test("a failover under pooled connections fails no request", async () => {
  const pool = database.pool({ port: proxy.port, max: 4 });
  const at = await site({ store: quietStore(pool) });
  onTestFinished(() => at[Symbol.asyncDispose]());
  const [ada, bob] = [new Browser(at), new Browser(at)];
  for (const browser of [ada, bob]) await browser.get("/login");
  const all = (path: string) =>
    Promise.all(Array.from({ length: 8 }, () => ada.get(path).then(({ status }) => status)));
  expect(new Set(await all("/read"))).toEqual(new Set([200]));
  expect(pool.totalCount).toBe(4);

  await failOver();
  expect(new Set(await all("/count"))).toEqual(new Set([200]));
  expect(await ada.text("/count")).toBe("9");
  const live = () => quietStore(database.pool({ port: standby.port })).list("user:ada");
  const before = await live();
  expect(await bob.text("/logout")).toBe("out");
  expect(await live()).toHaveLength(before.length - 1);
  expect(at.errors).toEqual([]);
});
