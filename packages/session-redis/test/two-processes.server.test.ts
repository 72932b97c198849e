import { afterAll } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { twoProcesses } from "../../session/test/two-processes/cases.ts";
import type { Address } from "./open-store.ts";

const module = new URL("./open-store.ts", import.meta.url).href;
const servers: RedisServer[] = [];

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
