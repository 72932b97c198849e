import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import Koa from "koa";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { Browser } from "../../session/test/http.ts";

let redis: RedisServer;
let server: Server;

// The program of the README as it is, but on a free port.
beforeAll(async () => {
  redis = await startRedis();
  vi.stubEnv("REDIS_URL", `redis://${redis.host}:${redis.port}`);
  const { listen } = Koa.prototype;
  const listening = new Promise<Server>((resolve) => {
    vi.spyOn(Koa.prototype, "listen").mockImplementation(function (this: Koa) {
      const started = listen.call(this, 0);
      resolve(started);
      return started;
    });
  });
  // What its client says when Redis is stopped below.
  vi.spyOn(console, "error").mockImplementation(() => {});
  await import("./example.ts");
  server = await listening;
  if (!server.listening) await once(server, "listening");
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await redis.stop();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test("the README's program counts each visitor's visits", async () => {
  const browser = new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await browser.text("/")).toBe("Visit 1\n");
  expect(await browser.text("/")).toBe("Visit 2\n");
});
