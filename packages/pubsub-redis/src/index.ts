export type { RedisClient, RedisClusterClient, RedisNode } from "./client.ts";
export { type RedisPubSub, type RedisPubSubOptions, redisPubSub } from "./redis-pubsub.ts";
