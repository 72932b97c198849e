import { pubsubConformance, pubsubProcesses } from "@lanai/pubsub/testing";
import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { oneOrAll } from "../../../scripts/testing/chance.ts";
import { tenAtOnce } from "../../pubsub/test/ten-at-once.ts";
import { openBackend, PATIENT } from "./fixture.ts";
import type { BackendOptions } from "./open-backend.ts";
import { clients, DURABLE, newPrefix, wireOf } from "./servers.ts";

let server: RedisServer;

beforeAll(async () => {
  server = await startRedis({ args: DURABLE });
});
afterAll(async () => {
  await server?.stop();
});

let cuts = 0;

/** Breaks the connections for subscribing, and those for all else, in turn. */
async function cut(): Promise<void> {
  const admin = new Redis(server.port);
  const type = cuts++ % 2 ? "NORMAL" : "PUBSUB";
  await admin.call("CLIENT", "KILL", "TYPE", type, "SKIPME", "YES");
  admin.disconnect();
}

pubsubProcesses({
  name: "Redis, ioredis 6, two processes",
  test: (it, fn) => test(it, fn),
  after: afterAll,
  backend: () => ({
    module: new URL("./open-backend.ts", import.meta.url).href,
    options: { port: server.port, prefix: newPrefix() } satisfies BackendOptions,
  }),
  cut,
  restart: () => server.restart(),
  wire: ({ options }) => wireOf([server], (options as { prefix: string }).prefix),
});

for (const [name, connect] of oneOrAll(Object.entries(clients))) {
  pubsubConformance({
    name,
    test: (it, fn) => test(it, fn),
    // Restarts take seconds, and say nothing of a prefix.
    ...(name.includes("keyPrefix") && { features: { restart: false } }),
    open() {
      const prefix = newPrefix();
      const [one, other] = [connect(server.port), connect(server.port)];
      for (const client of [one, other]) client.on("error", () => {});
      return {
        backend: redisPubSub(one, { ...PATIENT, prefix }),
        again: redisPubSub(other, { ...PATIENT, prefix }),
        ...(!name.includes("keyPrefix") && { restart: () => server.restart() }),
        cut,
        wire: () => wireOf([server], prefix),
        close() {
          one.disconnect();
          other.disconnect();
        },
      };
    },
  });
}

test("the suite ten times at once holds on one backend", async () => {
  const options = { prefix: newPrefix() };
  await using here = openBackend(server.port, options);
  await using there = openBackend(server.port, options);
  const ran = await tenAtOnce({ backend: here.backend, again: there.backend });
  expect(ran).toBeGreaterThan(300);
});
