import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import type { Context } from "koa";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";
import { keyOf } from "../../session/test/site.ts";
import { type App, startApp } from "./app.ts";
import { type BreakableProxy, CUTS, type Fault, startProxy } from "./proxy.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const heapUsed = () => {
  collect();
  return process.memoryUsage().heapUsed;
};

let server: RedisServer;
let proxy: BreakableProxy;
let redis: Redis;
let app: App;
let ada: Browser;

/** What the README tells to set, but sooner. */
const OPTIONS = { maxRetriesPerRequest: 1, retryStrategy: () => 20 };

/** Keeps what it has acknowledged, also when it is killed. */
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];

/** What happens to the next script, if the request says so. */
const breakAsAsked = (ctx: Context) => {
  proxy.fault = ctx.query.fault as Fault | undefined;
};

const routes: Record<string, (ctx: Context) => unknown> = {
  "/killed": async (ctx) => {
    await server.kill();
    ctx.session.set("a", "late");
    return "promised";
  },
  "/flushed": async (ctx) => {
    await redis.script("FLUSH");
    ctx.session.set("a", "2");
    return "set";
  },
  "/count": (ctx) => {
    breakAsAsked(ctx);
    ctx.session.set("count", ctx.session.getNumber("count") + 1);
    return "counted";
  },
  "/update": async (ctx) => {
    breakAsAsked(ctx);
    return { count: await ctx.session.update("count", (count) => Number(count ?? 0) + 1) };
  },
  "/sign-in": (ctx) => {
    breakAsAsked(ctx);
    ctx.session.login(String(ctx.query.user));
    return "welcome";
  },
};

/** One that ends with the test. */
function connect(port: number, options: { maxRetriesPerRequest: number }): Redis {
  const client = new Redis(port, { ...OPTIONS, ...options });
  client.on("error", () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

beforeEach(async () => {
  server = await startRedis();
  proxy = await startProxy(server.port);
  redis = new Redis(proxy.port, OPTIONS);
  redis.on("error", () => {});
  app = await startApp(redis, { maxWaiting: 100 }, routes);
  ada = new Browser(app);
  await ada.get("/login?user=ada");
  await ada.get("/set?a=1");
});

afterEach(async () => {
  await app[Symbol.asyncDispose]();
  redis.disconnect();
  await proxy[Symbol.asyncDispose]();
  await server.stop();
});

/** 503, and no word about what was meant to be. */
async function expectUnavailable(response: Response, from: App = app): Promise<void> {
  expect(response.status).toBe(503);
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(await response.text()).toBe("Service Unavailable");
  expect(from.errors.at(-1)).toMatchObject({ code: "ERR_SESSION_STORE_UNAVAILABLE" });
}

/** Waits until a request is answered as one would with Redis in order. */
const recovered = (browser: Browser, path: string) =>
  until(async () => {
    const response = await browser.get(path);
    expect(response.status).toBe(200);
    return response;
  });

/** The fields of a session, and how many operations it was written by. */
async function storedOf({ cookie }: Browser) {
  const key = keyOf(cookie.slice("sid=".length));
  const { r = "", ...fields } = await redis.hgetall(key.replace(/^(..)/, "lanai:{$1}"));
  return { fields, operations: r.trimEnd().split("\n").length };
}

/** How often Redis was sent the hash of a script that it didn't know. */
const unknownScripts = async () =>
  Number(/NOSCRIPT:count=(\d+)/.exec(await redis.info("errorstats"))?.[1] ?? 0);

describe("a Redis that was killed", () => {
  test("before the load: 503, and the app is back when it is", async () => {
    await server.kill();
    await expectUnavailable(await ada.get("/read"));
    await expectUnavailable(await ada.get("/set?b=1"));
    // Who has no session and wants none is not concerned.
    expect((await new Browser(app).get("/idle")).status).toBe(200);
    await expectUnavailable(await new Browser(app).get("/login?user=bob"));

    await server.restart();
    const visitor = new Browser(app);
    await recovered(visitor, "/login?user=bob");
    expect(await visitor.text("/who")).toBe("bob");
  });

  test("and kept what it had: what was acknowledged is there, applied once", async () => {
    await using durable = await startRedis({ args: DURABLE });
    const client = new Redis(durable.port, OPTIONS);
    client.on("error", () => {});
    await using site = await startApp(client);
    const bob = new Browser(site);
    await bob.get("/login?user=bob");
    await bob.get("/set?a=1");
    await durable.restart();
    expect(await (await recovered(bob, "/read")).json()).toEqual({ theme: "dark", a: "1" });
    expect(await bob.text("/who")).toBe("bob");
    client.disconnect();
  });

  test("S17: after it had applied an update and before its answer: it is applied once", async () => {
    await using durable = await startRedis({ args: DURABLE });
    await using way = await startProxy(durable.port);
    const client = connect(way.port, { maxRetriesPerRequest: 1000 });
    const update = async (ctx: Context) => {
      way.fault = ctx.query.fault as Fault | undefined;
      return { count: await ctx.session.update("count", (count) => Number(count ?? 0) + 1) };
    };
    // As long as it takes to come back.
    await using site = await startApp(client, {}, { "/update": update }, 60_000);
    const bob = new Browser(site);
    await bob.get("/login?user=bob");
    const pending = bob.get("/update?fault=a late reply");
    await until(() => expect(way.late).toBe(1));
    const { scripts } = way;
    await durable.restart();
    expect(await (await pending).json()).toEqual({ count: 1 });
    expect(way.scripts).toBeGreaterThan(scripts);
    expect(await (await bob.get("/read")).json()).toEqual({ theme: "dark", count: 1 });
    expect(await (await bob.get("/update")).json()).toEqual({ count: 2 });
  });

  test("and came back empty: everybody is signed out, and can sign in", async () => {
    await server.restart();
    const response = await recovered(ada, "/who");
    expect(await response.text()).toBe("nobody");
    expect(response.headers.getSetCookie()).toEqual([]);
    expect((await ada.get("/login?user=ada")).status).toBe(200);
    expect(await ada.text("/who")).toBe("ada");
  });

  test("between load and commit: 503, and no cookie", async () => {
    await expectUnavailable(await ada.get("/killed"));
    await expectUnavailable(await new Browser(app).get("/killed"));
  });

  test("during the commit: 503, and no cookie", async () => {
    const { scripts } = proxy;
    const visitor = new Browser(app);
    server.freeze();
    const login = visitor.get("/login?user=bob");
    await until(() => expect(proxy.scripts).toBe(scripts + 1));
    await server.kill();
    await expectUnavailable(await login);
    expect(visitor.cookie).toBe("");
  });
});

describe("a Redis that hangs", () => {
  test("is a 503 after the store's time-out, and then goes on", async () => {
    server.freeze();
    const answers = await Promise.all([ada.get("/read"), ada.get("/set?a=2")]);
    for (const answer of answers) await expectUnavailable(answer);
    server.thaw();
    await recovered(ada, "/read");
  });

  test("doesn't fill the memory: what waits is bounded", async () => {
    server.freeze();
    const visit = async (count: number) => {
      app.errors.length = 0;
      const visits = Array.from({ length: count }, () => ada.get("/read"));
      for (const answer of await Promise.all(visits)) expect(answer.status).toBe(503);
      const messages = app.errors.map(({ cause }) => (cause as Error).message);
      const how = (part: string) => messages.filter((message) => message.includes(part)).length;
      return { refused: how("maxWaiting"), timedOut: how("no answer within") };
    };
    const first = await visit(300);
    expect(first.timedOut).toBeGreaterThan(0);
    expect(first.timedOut).toBeLessThanOrEqual(100);
    expect(first.refused).toBe(300 - first.timedOut);
    // What nobody waits for any more still waits in the client.
    const second = await visit(100);
    expect(second.timedOut).toBeLessThanOrEqual(100 - first.timedOut);

    server.thaw();
    await recovered(ada, "/read");
    expect(await (await ada.get("/read")).json()).toMatchObject({ a: "1" });
  });

  test("takes no more memory, however many requests come", async () => {
    const text = "x".repeat(10_000);
    const visitAll = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        const visits = Array.from({ length: 300 }, () => new Browser(app).get(`/set?a=${text}`));
        for (const answer of await Promise.all(visits)) {
          expect(answer.status).toBe(503);
          await answer.text();
        }
        app.errors.length = 0;
      }
    };
    server.freeze();
    await visitAll(3);
    const heap = heapUsed();
    await visitAll(4);
    expect(heapUsed() - heap).toBeLessThan(5_000_000);
    server.thaw();
    await recovered(ada, "/read");
  });
});

describe("a connection that breaks", () => {
  test.each(CUTS)("S17: with %s: an update is sent again, and counts once", async (fault) => {
    for (const [n, path] of ["/update", "/count"].entries()) {
      const before = await storedOf(ada);
      const { scripts } = proxy;
      const response = await ada.get(`${path}?fault=${fault}`);
      expect(response.status).toBe(200);
      expect(response.headers.getSetCookie()).toEqual([]);
      // Load, commit, and the commit again.
      expect(proxy.scripts - scripts).toBe(3);
      const after = await storedOf(ada);
      expect(after.fields).toMatchObject({ "=d:a": '"1"', "=d:count": `${n + 1}` });
      expect(after.operations).toBe(before.operations + 1);
    }
    expect(await (await ada.get("/read")).json()).toEqual({ theme: "dark", a: "1", count: 2 });
  });

  test.each(CUTS)("S17: with %s: a login is sent again, and is one", async (fault) => {
    const bob = new Browser(app);
    await bob.get("/set?cart=1");
    const old = bob.clone();
    const { scripts } = proxy;
    const response = await bob.get(`/sign-in?user=bob&fault=${fault}`);
    expect(response.status).toBe(200);
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(proxy.scripts - scripts).toBe(3);
    // Its creation, and the login.
    expect(await storedOf(bob)).toMatchObject({ fields: { "=d:cart": '"1"' }, operations: 2 });
    expect(await bob.text("/who")).toBe("bob");
    expect(await old.text("/who")).toBe("nobody");
    expect(await redisStore(redis).list("user:bob")).toHaveLength(1);
  });

  test.each(CUTS)(
    "with %s, and is not tried again: 503, no cookie, and nothing twice",
    async (fault) => {
      await using site = await startApp(
        connect(proxy.port, { maxRetriesPerRequest: 0 }),
        {},
        routes,
      );
      const bob = new Browser(site);
      await bob.get("/set?cart=1");
      const old = bob.clone();
      await expectUnavailable(await bob.get(`/sign-in?user=bob&fault=${fault}`), site);
      expect(bob.cookie).toBe(old.cookie);
      // Redis may have done what it could not say: nobody has the new key, and the session is ended.
      await until(async () => expect(await redisStore(redis).list("user:bob")).toEqual([]));
      const left = fault === "half a command" ? { cart: "1" } : {};
      expect(await (await bob.get("/read")).json()).toEqual(left);
      expect(await bob.text("/who")).toBe("nobody");

      expect((await bob.get("/sign-in?user=bob")).status).toBe(200);
      expect(await bob.text("/who")).toBe("bob");
      expect(await redisStore(redis).list("user:bob")).toHaveLength(1);
    },
  );
});

test("scripts that are flushed between load and commit cost nobody anything", async () => {
  const bob = new Browser(app);
  for (const browser of [ada, bob]) {
    const unknown = await unknownScripts();
    expect((await browser.get("/flushed")).status).toBe(200);
    expect(await unknownScripts()).toBe(unknown + 1);
    expect(await (await browser.get("/read")).json()).toMatchObject({ a: "2" });
  }
  expect(await ada.text("/who")).toBe("ada");
});

test("a session's key of a wrong type is an error of that session alone, and no outage", async () => {
  const [key] = await redis.keys("lanai:{??}.*");
  await redis.set(key as string, "a string");
  const other = new Browser(app);
  await other.get("/login?user=bob");
  const [mine, theirs] = await Promise.all([ada.get("/read"), other.get("/who")]);
  expect(mine.status).toBe(500);
  expect(app.errors.at(-1)).toMatchObject({ code: "ERR_SESSION_DECODE" });
  expect(await theirs.text()).toBe("bob");
  expect(await redis.get(key as string)).toBe("a string");
});
