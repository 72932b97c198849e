import { pubsubConformance } from "@lanai/pubsub/testing";
import { redisPubSub } from "@lanai/pubsub-redis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { type Peer, startPeer } from "../../pubsub/test/peer.ts";
import { tenAtOnce } from "../../pubsub/test/ten-at-once.ts";
import { openBackend } from "./fixture.ts";
import type { PeerOptions } from "./peer-process.ts";
import { clients, DURABLE, newPrefix, wireOf } from "./servers.ts";

let server: RedisServer;
let peer: Peer<PeerOptions>;

beforeAll(async () => {
  server = await startRedis({ args: DURABLE });
  peer = startPeer(new URL("./peer-process.ts", import.meta.url));
});
afterAll(async () => {
  await peer?.kill();
  await server?.stop();
});

pubsubConformance({
  name: "Redis, ioredis 6, two processes",
  test: (it, fn) => test(it, { timeout: 120_000 }, fn),
  async open() {
    const prefix = newPrefix();
    const here = openBackend(server.port, { prefix });
    return {
      backend: here.backend,
      again: await peer.open({ port: server.port, prefix }),
      restart: () => server.restart(),
      wire: () => wireOf([server], prefix),
      close: async () => here[Symbol.asyncDispose](),
    };
  },
});

for (const [name, connect] of Object.entries(clients)) {
  pubsubConformance({
    name,
    test: (it, fn) => test(it, { timeout: 120_000 }, fn),
    // Restarts take seconds, and say nothing of a prefix.
    ...(name.includes("keyPrefix") && { features: { restart: false } }),
    open() {
      const prefix = newPrefix();
      const [one, other] = [connect(server.port), connect(server.port)];
      for (const client of [one, other]) client.on("error", () => {});
      return {
        backend: redisPubSub(one, { prefix }),
        again: redisPubSub(other, { prefix }),
        ...(!name.includes("keyPrefix") && { restart: () => server.restart() }),
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
  const options = { prefix: newPrefix(), timeout: 30_000 };
  await using here = openBackend(server.port, options);
  await using there = openBackend(server.port, options);
  const ran = await tenAtOnce({ backend: here.backend, again: there.backend });
  expect(ran).toBeGreaterThan(300);
}, 60_000);
