import { storeClocks } from "@lanai/session/testing";
import { afterAll, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { advance } from "./advance.ts";
import type { Address } from "./open-store.ts";

const prefix = "clocks:";
let server: RedisServer;

afterAll(() => server?.stop());

storeClocks({
  name: "Redis",
  test: (name, run) => test(name, run),
  after: afterAll,
  async store() {
    server = await startRedis();
    const options: Address = { port: server.port, prefix };
    return { module: new URL("./open-store.ts", import.meta.url).href, options };
  },
  advance: (ms) => advance([server], prefix, ms),
});
