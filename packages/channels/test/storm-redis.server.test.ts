import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { startRedis } from "../../../scripts/services/redis.ts";
import { stormOn } from "./storm/suite.ts";

stormOn("Redis", async () => {
  const server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
  const client = new Redis(server.port, { retryStrategy: () => 30 });
  client.on("error", () => {});
  return {
    ...{ bus: "redis", port: server.port },
    kill: () => server.kill(),
    restart: () => server.restart(),
    open: async () => redisPubSub(client, { timeout: 1_000 }),
    async stop() {
      client.disconnect();
      await server.stop();
    },
  };
});
