import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { endsItsOwnSession } from "../../session/test/own-end.ts";

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

endsItsOwnSession({ name: "Redis", open: () => redisStore(redis) });
