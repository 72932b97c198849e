import { afterAll } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { clocksApart } from "../../session/test/two-processes/clocks.ts";
import { advance } from "./advance.ts";
import type { Address } from "./open-store.ts";

const prefix = "clocks:";
let server: RedisServer;

afterAll(() => server?.stop());

clocksApart({
  name: "Redis",
  async prepare() {
    server = await startRedis();
    const options: Address = { port: server.port, prefix };
    return { module: new URL("./open-store.ts", import.meta.url).href, options };
  },
  advance: (ms) => advance([server], prefix, ms),
});
