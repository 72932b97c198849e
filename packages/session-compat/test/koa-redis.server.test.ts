import { storeConformance } from "@lanai/session/testing";
import { fromKoaStore } from "@lanai/session-compat";
import koaRedis from "koa-redis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { sessionsInRedis } from "./example-koa-store.ts";

let server: RedisServer;
let first: ReturnType<typeof koaRedis>;
let second: ReturnType<typeof koaRedis>;

beforeAll(async () => {
  server = await startRedis();
  first = koaRedis({ host: server.host, port: server.port });
  second = koaRedis({ client: first.client });
});

afterAll(async () => {
  await first.quit();
  await server.stop();
});

/** Two stores on one connection, so that what two processes send is mixed in the same way each time. */
const opened = (processes: 1 | 2) => () => {
  let now = Date.now();
  const clock = () => now;
  return {
    store: fromKoaStore(first, { clock }),
    again: fromKoaStore(processes === 1 ? first : second, { clock }),
    advance(ms: number) {
      now += ms;
    },
  };
};

storeConformance({ name: "koa-redis", test, open: opened(1), limits: ["index"] });

storeConformance({
  name: "koa-redis, two processes",
  test,
  open: opened(2),
  limits: ["index", "final", "merge", "once"],
});

test("the example of the README keeps sessions under its prefix", async () => {
  const sessions = sessionsInRedis(server.host, server.port);
  const { session } = await sessions.create({ userId: "ada" });
  expect((await sessions.open(String(session.id)))?.userId).toBe("ada");
  expect(await first.client.keys("app:*")).toHaveLength(1);
});

test("koa-redis lets Redis forget a session when it ends", async () => {
  await fromKoaStore(first).create("ab.ttl", {
    operation: "create",
    publicId: "public",
    values: new Map(),
    owners: new Set(),
    idle: 60_000,
    absolute: 3_600_000,
  });
  const ttl = await first.client.pttl("lanai:ab.ttl");
  expect(ttl).toBeGreaterThan(50_000);
  expect(ttl).toBeLessThanOrEqual(60_000);
});
