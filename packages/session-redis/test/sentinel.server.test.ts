import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWatchedRedis, type WatchedRedis } from "../../../scripts/services/redis-sentinel.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";
import { type App, startApp } from "./app.ts";

let servers: WatchedRedis;
let redis: Redis;
let app: App;

beforeAll(async () => {
  servers = await startWatchedRedis();
  redis = new Redis({
    name: servers.name,
    sentinels: [servers.sentinel],
    maxRetriesPerRequest: 1,
    retryStrategy: () => 20,
    sentinelRetryStrategy: () => 20,
  });
  redis.on("error", () => {});
  app = await startApp(redis);
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  redis?.disconnect();
  await servers?.stop();
});

/** What the replica is, and how often it was sent the hash of a script that it didn't know. */
async function aboutReplica() {
  const client = new Redis(servers.replica.port);
  const [role] = await client.role();
  const stats = await client.info("errorstats");
  client.disconnect();
  return { role, unknownScripts: Number(/NOSCRIPT:count=(\d+)/.exec(stats)?.[1] ?? 0) };
}

test("after a failover the sessions are there, and the replica is taught the scripts", async () => {
  const ada = new Browser(app);
  await ada.get("/login?user=ada");
  await ada.get("/set?a=1");
  expect(await redis.wait(1, 10_000)).toBe(1);
  expect(await aboutReplica()).toEqual({ role: "slave", unknownScripts: 0 });
  await servers.master.kill();

  const response = await ada.get("/set?lost=1");
  expect(response.status).toBe(503);
  expect(response.headers.getSetCookie()).toEqual([]);
  await until(async () => expect((await ada.get("/set?b=2")).status).toBe(200));
  const { role, unknownScripts } = await aboutReplica();
  expect(role).toBe("master");
  expect(unknownScripts).toBeGreaterThan(0);
  expect(await (await ada.get("/read")).json()).toEqual({ theme: "dark", a: "1", b: "2" });
  expect(await ada.text("/who")).toBe("ada");
  expect((await ada.get("/logout")).status).toBe(200);
  expect(await ada.text("/who")).toBe("nobody");
});
