import { randomUUID } from "node:crypto";
import { storeConformance } from "@lanai/session/testing";
import { type RedisClient, redisStore } from "@lanai/session-redis";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { afterAll, beforeAll, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { advance } from "./advance.ts";

let server: RedisServer;
let cluster: RedisCluster;

beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
});
afterAll(async () => {
  await server?.stop();
  await cluster?.stop();
});

interface Client extends RedisClient {
  disconnect(): void;
}

const clients: readonly { name: string; connect: () => Client }[] = [
  { name: "Redis, ioredis 6", connect: () => new Redis(server.port) },
  { name: "Redis, ioredis 5.9", connect: () => new Redis5(server.port) },
  {
    name: "Redis, ioredis 6 with a keyPrefix",
    connect: () => new Redis(server.port, { keyPrefix: "app:" }),
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

for (const { name, connect } of clients) {
  storeConformance({
    name,
    test,
    open() {
      const prefix = `${randomUUID()}:`;
      const [one, other] = [connect(), connect()];
      const nodes = one.isCluster ? cluster.nodes : [server];
      return {
        store: redisStore(one, { prefix }),
        again: redisStore(other, { prefix }),
        advance: (ms) => advance(nodes, prefix, ms),
        close() {
          one.disconnect();
          other.disconnect();
        },
      };
    },
  });
}
