import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { Browser } from "../../session/test/http.ts";
import { type App, startApp } from "./app.ts";

let server: RedisServer;
let redis: Redis;
let app: App;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port);
  app = await startApp(redis, { prefix: "test:" });
  // From here on the server knows the scripts.
  const browser = new Browser(app);
  for (const path of ["/set?a=1", "/login", "/read", "/logout"]) await browser.get(path);
});
beforeEach(() => redis.flushdb());
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  redis?.disconnect();
  await server?.stop();
});

/** What the client sent: all that isn't a script's own doing. */
async function scripts(): Promise<number> {
  const stats = await redis.info("commandstats");
  const calls = stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm);
  return [...calls].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function cost(work: () => Promise<Response>): Promise<number> {
  const before = await scripts();
  expect((await work()).status).toBe(200);
  return (await scripts()) - before;
}

test("a visitor without a session costs nothing", async () => {
  const browser = new Browser(app);
  expect(await cost(() => browser.get("/idle"))).toBe(0);
  expect(await cost(() => browser.get("/read"))).toBe(0);
  expect(await redis.dbsize()).toBe(0);
});

test("the first write is one command", async () => {
  expect(await cost(() => new Browser(app).get("/set?a=1"))).toBe(1);
});

test("a request that reads is one command, and one that writes two", async () => {
  const browser = new Browser(app);
  await browser.get("/set?a=1");
  expect(await cost(() => browser.get("/read"))).toBe(1);
  expect(await cost(() => browser.get("/set?a=2&b=3"))).toBe(2);
});

test("a login is one command after the load: new key, owner and entries", async () => {
  const browser = new Browser(app);
  await browser.get("/set?a=1");
  const { cookie } = browser;
  expect(await cost(() => browser.get("/login"))).toBe(2);
  expect(browser.cookie).not.toBe(cookie);
  expect(await browser.text("/who")).toBe("ada");
  expect(await (await browser.get("/read")).json()).toEqual({ a: "1", theme: "dark" });
});

test("nothing in Redis is an id or leads to one", async () => {
  const browser = new Browser(app);
  await browser.get("/set?a=1");
  const ids = [browser.cookie.slice("sid=".length)];
  await browser.get("/login");
  ids.push(browser.cookie.slice("sid=".length));

  const stored: string[] = [];
  for (const key of await redis.keys("*")) {
    expect(key.startsWith("test:")).toBe(true);
    const isList = (await redis.type(key)) === "zset";
    const held = isList ? await redis.zrange(key, "0", "-1") : await redis.hgetall(key);
    stored.push(key, JSON.stringify(held));
  }
  // The session, its key before the login, its handle and its owner's list.
  expect(stored).toHaveLength(2 * 4);
  for (const id of ids) {
    expect(id).toHaveLength(43);
    for (const text of stored) expect(text).not.toContain(id.slice(2));
  }
});

test("every key expires", async () => {
  const browser = new Browser(app);
  await browser.get("/set?a=1");
  await browser.get("/login");
  const [minute, idle, day] = [60_000, 30 * 60_000, 24 * 3_600_000];
  const lives: number[] = [];
  for (const key of await redis.keys("*")) lives.push(await redis.pttl(key));
  lives.sort((a, b) => a - b);
  // The old key, the session and its handle, and the list: twice the idle time and an hour.
  for (const [n, life] of [minute, idle, idle, 2 * idle + 3_600_000].entries()) {
    expect(lives[n]).toBeLessThanOrEqual(life);
    expect(lives[n]).toBeGreaterThan(life - 5000);
  }
  expect(lives.at(-1)).toBeLessThan(day);

  await browser.get("/logout");
  for (const key of await redis.keys("test:{*")) {
    expect(await redis.pttl(key)).toBeGreaterThan(0);
    expect(await redis.pttl(key)).toBeLessThanOrEqual(minute);
  }
});
