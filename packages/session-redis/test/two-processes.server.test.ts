import { storeProcesses } from "@lanai/session/testing";
import { afterAll, test } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";
import { startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { seed } from "../../../scripts/testing/chance.ts";
import { leastRounds } from "../../../scripts/testing/rounds.ts";
import type { Address } from "./open-store.ts";

const module = new URL("./open-store.ts", import.meta.url).href;
const servers: { stop(): Promise<void> }[] = [];

afterAll(async () => {
  for (const server of servers) await server.stop();
});

storeProcesses({
  name: "Redis",
  test: (name, run) => test(name, run),
  after: afterAll,
  ...{ rounds: leastRounds, seed },
  async store() {
    const server = await startRedis();
    servers.push(server);
    const options: Address = { port: server.port, prefix: "two:" };
    return { module, options };
  },
});

storeProcesses({
  name: "Redis Cluster",
  test: (name, run) => test(name, run),
  after: afterAll,
  ...{ rounds: leastRounds, seed },
  async store() {
    const cluster = await startRedisCluster();
    servers.push(cluster);
    const options: Address = { port: cluster.nodes[0].port, prefix: "two:", cluster: true };
    return { module, options };
  },
});
