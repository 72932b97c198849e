import { afterAll, beforeAll } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { sameSite } from "./same-site.ts";

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

const env = () => ({ REDIS_URL: `redis://${redis.host}:${redis.port}` });

sameSite("koa-generic-session", env);
sameSite("express-session", env);
