export type { RedisPubSubOptions } from "./options.ts";
export type { RedisClient, RedisClusterClient, RedisNode } from "./redis/client.ts";
export { type RedisPubSub, redisPubSub } from "./redis-pubsub.ts";
