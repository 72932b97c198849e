import { pubsubConformance } from "@lanai/pubsub/testing";
import { redisPubSub } from "@lanai/pubsub-redis";
import { afterAll, beforeAll, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { clients, DURABLE, newPrefix, wireOf } from "./servers.ts";

let server: RedisServer;

beforeAll(async () => {
  server = await startRedis({ args: DURABLE });
});
afterAll(async () => {
  await server?.stop();
});

for (const [name, connect] of Object.entries(clients)) {
  pubsubConformance({
    name,
    test(it, fn) {
      // Restarts take seconds, and say nothing of a prefix.
      if (name.includes("keyPrefix") && it.startsWith("P5")) return;
      test(it, { timeout: 120_000 }, fn);
    },
    open() {
      const prefix = newPrefix();
      const [one, other] = [connect(server.port), connect(server.port)];
      for (const client of [one, other]) client.on("error", () => {});
      return {
        backend: redisPubSub(one, { prefix }),
        again: redisPubSub(other, { prefix }),
        restart: () => server.restart(),
        wire: () => wireOf([server], prefix),
        close() {
          one.disconnect();
          other.disconnect();
        },
      };
    },
  });
}
