import { inspect } from "node:util";
import { createSessions } from "@lanai/session";
import { storeConformance } from "@lanai/session/testing";
import { fromExpressStore } from "@lanai/session-compat";
import { RedisStore } from "connect-redis";
import Koa from "koa";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser, serve } from "../../session/test/http.ts";

let server: RedisServer;
let client: ReturnType<typeof createClient>;

beforeAll(async () => {
  server = await startRedis();
  client = createClient({
    socket: { host: server.host, port: server.port, reconnectStrategy: 20 },
  });
  client.on("error", () => {});
  await client.connect();
});

afterAll(async () => {
  client.destroy();
  await server.stop();
});

/** Two stores on one connection, so that what two processes send is mixed in the same way each time. */
const opened = (processes: 1 | 2) => () => {
  let now = Date.now();
  const clock = () => now;
  const store = fromExpressStore(new RedisStore({ client }), { clock });
  return {
    store,
    again: processes === 1 ? store : fromExpressStore(new RedisStore({ client }), { clock }),
    advance(ms: number) {
      now += ms;
    },
  };
};

storeConformance({ name: "connect-redis", test, open: opened(1), limits: ["index"] });

storeConformance({
  name: "connect-redis, two processes",
  test,
  open: opened(2),
  limits: ["index", "final", "merge", "once"],
});

const record = {
  operation: "create",
  publicId: "public",
  values: new Map([["d:a", '"a secret"']]),
  owners: new Set(["user:ada"]),
  idle: 60_000,
  absolute: 3_600_000,
};

describe("connect-redis", () => {
  test("lets Redis forget a session when it ends", async () => {
    await fromExpressStore(new RedisStore({ client })).create("ab.ttl", record);
    const ttl = await client.pTTL("sess:ab.ttl");
    expect(ttl).toBeGreaterThan(50_000);
    expect(ttl).toBeLessThanOrEqual(60_000);
  });

  test("has its errors told without keys and values", async () => {
    const store = fromExpressStore(new RedisStore({ client }));
    await client.hSet("sess:ab.hash", "a", "a secret");
    await client.set("sess:ab.text", "a secret, and no JSON");
    for (const key of ["ab.hash", "ab.text"]) {
      const error: unknown = await Promise.resolve(store.load(key)).catch((it) => it);
      expect(error).toBeInstanceOf(Error);
      expect(inspect(error, { depth: 9 })).not.toMatch(/secret|ab\.(hash|text)/);
    }
  });
});

const site = () => {
  const store = fromExpressStore(new RedisStore({ client }));
  const sessions = createSessions({ store, storeTimeout: 3_000 });
  const app = new Koa();
  app.silent = true;
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    if (ctx.path === "/set") ctx.session.set("a", ctx.query.a);
    if (ctx.path === "/crash") {
      ctx.session.set("a", "never acknowledged");
      await server.kill();
    }
    ctx.body = ctx.session.getString("a", "nothing");
  });
  return app;
};

const recovered = (browser: Browser) =>
  until(async () => expect((await browser.get("/")).status).toBe(200));

describe("when Redis is down", () => {
  test("requests with a session are refused, and served when it is back", async () => {
    await using served = await serve(site());
    const browser = new Browser(served);
    await browser.get("/set?a=1");
    await server.kill();
    expect((await browser.get("/")).status).toBe(503);
    const stranger = await new Browser(served).get("/set?a=1");
    expect(stranger.status).toBe(503);
    expect(stranger.headers.getSetCookie()).toEqual([]);
    expect((await new Browser(served).get("/")).status).toBe(200);

    await server.restart();
    await recovered(browser);
    // This Redis keeps nothing on disk.
    expect(await browser.text("/")).toBe("nothing");
    await browser.get("/set?a=2");
    expect(await browser.text("/")).toBe("2");
  });

  test("between load and commit, nothing is promised", async () => {
    await using served = await serve(site());
    const [known, stranger] = [new Browser(served), new Browser(served)];
    await known.get("/set?a=1");
    const lost = await known.get("/crash");
    expect(lost.status).toBe(503);
    await server.restart();
    await recovered(known);
    const response = await stranger.get("/crash");
    expect(response.status).toBe(503);
    expect(response.headers.getSetCookie()).toEqual([]);
    await server.restart();
    await recovered(known);
  });

  test("frozen, requests are refused in time, and nothing stored is lost", async () => {
    await using served = await serve(site());
    const browser = new Browser(served);
    await browser.get("/set?a=1");
    server.freeze();
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, () => browser.get("/")));
      expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(503));
    } finally {
      server.thaw();
    }
    await recovered(browser);
    expect(await browser.text("/")).toBe("1");
  });
});
