import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { Browser } from "../../session/test/http.ts";
import { type App, startApp } from "./app.ts";
import { type BreakableProxy, startProxy } from "./proxy.ts";

let server: RedisServer;
let proxy: BreakableProxy;
let redis: Redis;
let app: App;
let ada: Browser;

/** What the README tells to set, but sooner. */
const OPTIONS = { maxRetriesPerRequest: 1, retryStrategy: () => 20 };

beforeEach(async () => {
  server = await startRedis();
  proxy = await startProxy(server.port);
  redis = new Redis(proxy.port, OPTIONS);
  redis.on("error", () => {});
  app = await startApp(
    redis,
    { maxWaiting: 100 },
    {
      "/killed": async (ctx) => {
        await server.kill();
        ctx.session.set("a", "late");
        return "promised";
      },
      "/break": (ctx) => {
        proxy.fault = "no reply";
        ctx.session.set("count", ctx.session.getNumber("count") + 1);
        return "counted";
      },
      "/update": async (ctx) => {
        proxy.fault = "no reply";
        return { count: await ctx.session.update("count", (count) => Number(count ?? 0) + 1) };
      },
    },
  );
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
async function expectUnavailable(response: Response): Promise<void> {
  expect(response.status).toBe(503);
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(await response.text()).toBe("Service Unavailable");
  expect(app.errors.at(-1)).toMatchObject({ code: "ERR_SESSION_STORE_UNAVAILABLE" });
}

/** Waits until a request is answered as one would with Redis in order. */
const recovered = (browser: Browser, path: string) =>
  vi.waitFor(
    async () => {
      const response = await browser.get(path);
      expect(response.status).toBe(200);
      return response;
    },
    { timeout: 10_000 },
  );

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
    await using durable = await startRedis({
      args: ["--appendonly", "yes", "--appendfsync", "always"],
    });
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
    await vi.waitFor(() => expect(proxy.scripts).toBe(scripts + 1));
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
    expect((await ada.get("/read")).status).toBe(200);
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
});

describe("a reply that is lost", () => {
  test("costs nobody anything: the commit is sent again and applied once", async () => {
    expect((await ada.get("/break")).status).toBe(200);
    expect(await (await ada.get("/update")).json()).toEqual({ count: 2 });
    expect(await (await ada.get("/read")).json()).toMatchObject({ a: "1", count: 2 });
  });

  test("of a login: the cookie that comes is the one that lives", async () => {
    const visitor = new Browser(app);
    proxy.fault = "no reply";
    expect((await visitor.get("/login?user=bob")).status).toBe(200);
    expect(proxy.fault).toBe(undefined);
    expect(await visitor.text("/who")).toBe("bob");
  });
});

test("a session's key of a wrong type is a 503 for that session alone", async () => {
  const [key] = await redis.keys("lanai:{??}.*");
  await redis.set(key as string, "a string");
  const other = new Browser(app);
  await other.get("/login?user=bob");
  const [mine, theirs] = await Promise.all([ada.get("/read"), other.get("/who")]);
  await expectUnavailable(mine);
  expect(await theirs.text()).toBe("bob");
  await expectUnavailable(await ada.get("/logout"));
  expect(await redis.get(key as string)).toBe("a string");
});
