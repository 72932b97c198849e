import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { onTestFinished } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";
import { interleaved } from "./interleavings.ts";

interleaved("F1: each message goes to exactly one, in Redis", async () => {
  const server = await startRedis();
  const connections = [1, 2].map(() => new Redis(server.port));
  onTestFinished(async () => {
    for (const redis of connections) redis.disconnect();
    await server.stop();
  });
  return connections.map((redis) => redisStore(redis));
});
