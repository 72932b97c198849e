import { randomUUID } from "node:crypto";
import { encrypted } from "@lanai/session";
import { storeConformance } from "@lanai/session/testing";
import { type RedisClient, redisStore } from "@lanai/session-redis";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { afterAll, beforeAll, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { oneOrAll } from "../../../scripts/testing/chance.ts";
import { type SwitchedProxy, startSwitchedProxy } from "../../../scripts/testing/switched-proxy.ts";
import { advance, countKeys } from "./advance.ts";

let server: RedisServer;
let cluster: RedisCluster;
let proxy: SwitchedProxy;

beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  proxy = await startSwitchedProxy(server.port);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.stop();
  await cluster?.stop();
});

/** A command rejects when its connection breaks, and isn't sent again. */
const QUICK = { maxRetriesPerRequest: 0, retryStrategy: () => 20 };

interface Client extends RedisClient {
  on(event: "error", listener: () => void): unknown;
  disconnect(): void;
}

const clients: readonly { name: string; connect: () => Client }[] = [
  { name: "Redis, ioredis 6", connect: () => new Redis(proxy.port, QUICK) },
  { name: "Redis, ioredis 5.9", connect: () => new Redis5(proxy.port, QUICK) },
  {
    name: "Redis, ioredis 6 with a keyPrefix",
    connect: () => new Redis(proxy.port, { ...QUICK, keyPrefix: "app:" }),
  },
  {
    name: "Redis Cluster, ioredis 6",
    connect: () => new Cluster([{ port: cluster.nodes[0].port }]),
  },
  {
    name: "Redis Cluster, ioredis 5.9",
    connect: () => new Cluster5([{ port: cluster.nodes[0].port }]),
  },
];

const alone = clients.filter(({ name }) => !name.includes("Cluster"));
const clusters = clients.filter(({ name }) => name.includes("Cluster"));

for (const { name, connect } of [...oneOrAll(alone), ...oneOrAll(clusters)]) {
  storeConformance({
    name,
    test,
    open() {
      const prefix = `${randomUUID()}:`;
      const [one, other] = [connect(), connect()];
      for (const client of [one, other]) client.on("error", () => {});
      const nodes = one.isCluster ? cluster.nodes : [server];
      return {
        store: redisStore(one, { prefix }),
        again: redisStore(other, { prefix }),
        advance: (ms) => advance(nodes, prefix, ms),
        // A cluster's outages are those of its nodes, in cluster-faults.
        ...(!one.isCluster && { cut: () => proxy.cut(), heal: () => proxy.heal() }),
        size: () => countKeys(nodes, prefix),
        close() {
          one.disconnect();
          other.disconnect();
        },
      };
    },
  });
}

const KEYS = ["the first key has thirty-two bytes", "an older key has thirty-two bytes too"];

for (const { name, connect } of oneOrAll(clients.filter((it) => it.name.endsWith("ioredis 6")))) {
  storeConformance({
    name: `encrypted, ${name}`,
    test,
    orders: 100,
    open() {
      const prefix = `${randomUUID()}:`;
      const [one, other] = [connect(), connect()];
      return {
        store: encrypted(redisStore(one, { prefix }), { keys: KEYS }),
        // Another process, to which the new key hasn't come yet as the first.
        again: encrypted(redisStore(other, { prefix }), { keys: KEYS.toReversed() }),
        advance: (ms) => advance(one.isCluster ? cluster.nodes : [server], prefix, ms),
        close() {
          one.disconnect();
          other.disconnect();
        },
      };
    },
  });
}
