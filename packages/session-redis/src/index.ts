export type { RedisClient } from "./connection.ts";
export { type RedisStore, type RedisStoreOptions, redisStore } from "./redis-store.ts";
