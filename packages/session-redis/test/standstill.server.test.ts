import { afterAll, beforeAll } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { type CuttingProxy, startCuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import { standstill } from "../../session/test/standstill.ts";
import type { Address } from "./open-store.ts";

let server: RedisServer;
let proxy: CuttingProxy;

beforeAll(async () => {
  server = await startRedis();
  proxy = await startCuttingProxy({ target: server.port, isCommand: () => false });
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.stop();
});

standstill({
  name: "Redis",
  proxy: () => proxy,
  store() {
    const options: Address = { port: proxy.port, prefix: "still:" };
    return { module: import.meta.resolve("./open-store.ts"), options };
  },
});
