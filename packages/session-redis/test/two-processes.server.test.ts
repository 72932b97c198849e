import { afterAll } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";
import { startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { twoProcesses } from "../../session/test/two-processes/cases.ts";
import type { Address } from "./open-store.ts";

const module = new URL("./open-store.ts", import.meta.url).href;
const servers: { stop(): Promise<void> }[] = [];

afterAll(async () => {
  for (const server of servers) await server.stop();
});

twoProcesses({
  name: "Redis",
  async prepare() {
    const server = await startRedis();
    servers.push(server);
    const options: Address = { port: server.port, prefix: "two:" };
    return { module, options };
  },
});

twoProcesses({
  name: "Redis Cluster",
  async prepare() {
    const cluster = await startRedisCluster();
    servers.push(cluster);
    const options: Address = { port: cluster.nodes[0].port, prefix: "two:", cluster: true };
    return { module, options };
  },
});
