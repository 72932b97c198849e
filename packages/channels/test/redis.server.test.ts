import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { channelsOn } from "./suite.ts";

let server: RedisServer;
let prefix = 0;
const clients: Redis[] = [];

beforeAll(async () => {
  server = await startRedis();
});
beforeEach(() => {
  prefix += 1;
});
afterAll(async () => {
  for (const it of clients) it.disconnect();
  await server?.stop();
});

channelsOn("Redis", async () => {
  const client = new Redis(server.port, { retryStrategy: () => 20 });
  clients.push(client.on("error", () => {}));
  return redisPubSub(client, { prefix: `${prefix}:` });
}, ["k".repeat(32)]);
