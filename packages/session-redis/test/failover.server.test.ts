import { Redis, type RedisOptions } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { startFailoverRedis } from "../../../scripts/services/redis-failover.ts";
import { Browser } from "../../session/test/http.ts";
import { type App, startApp } from "./app.ts";

/** As in the README. */
const CONNECTS_AGAIN = {
  reconnectOnError: (error: Error) => (error.message.includes("READONLY") ? 2 : false),
} as const;

async function signedIn(options: Pick<RedisOptions, "reconnectOnError">) {
  const servers = await startFailoverRedis();
  onTestFinished(() => servers[Symbol.asyncDispose]());
  const redis = new Redis(servers.port, { maxRetriesPerRequest: 1, ...options });
  redis.on("error", () => {});
  onTestFinished(() => redis.disconnect());
  const app: App = await startApp(redis);
  onTestFinished(() => app[Symbol.asyncDispose]());
  const ada = new Browser(app);
  await ada.get("/login?user=ada");
  await ada.get("/set?a=1");
  return { servers, ada, redis };
}

describe("a Redis that fails over under a living connection", () => {
  test("fails no request, if the client connects again on READONLY", async () => {
    const { servers, ada } = await signedIn(CONNECTS_AGAIN);
    await servers.failOver();
    expect(await (await ada.get("/read")).json()).toEqual({ theme: "dark", a: "1" });
    expect((await ada.get("/set?b=2")).status).toBe(200);
    expect(await (await ada.get("/read")).json()).toEqual({ theme: "dark", a: "1", b: "2" });
    expect((await ada.get("/login?user=ada")).status).toBe(200);
    expect(await ada.text("/who")).toBe("ada");
  });

  test("carries a sign-out out that is the first write after it, if the client connects again", async () => {
    const { servers, ada } = await signedIn(CONNECTS_AGAIN);
    const old = ada.clone();
    await servers.failOver();
    expect((await ada.get("/logout")).status).toBe(200);
    for (const browser of [old, ada]) expect(await browser.text("/who")).toBe("nobody");
  });

  test("makes every write and sign-out a 503 until the client connects again", async () => {
    const { servers, ada, redis } = await signedIn({});
    await servers.failOver();
    for (const path of ["/set?b=2", "/logout", "/login?user=ada", "/set?b=2"]) {
      const response = await ada.get(path);
      expect(response.status).toBe(503);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
    expect(await ada.text("/who")).toBe("ada");
    redis.disconnect(true);
    expect((await ada.get("/set?b=2")).status).toBe(200);
    expect((await ada.get("/logout")).status).toBe(200);
    expect(await ada.text("/who")).toBe("nobody");
  });
});
