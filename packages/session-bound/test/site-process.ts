import { redisPubSub } from "@lanai/pubsub-redis";
import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { startSite } from "./site.ts";

/** One process of an app with several, on one Redis: it sends its address to its parent. */
const { redis: port, ...options } = JSON.parse(process.argv[2] ?? "{}");
const site = await startSite({
  ...options,
  store: redisStore(new Redis({ port })),
  pubsub: redisPubSub(new Redis({ port })),
});
process.send?.(site.url);
