export type { RedisClient } from "./bounded-client.ts";
export type { RedisStoreEvent } from "./events.ts";
export type { RedisStoreOptions } from "./options.ts";
export { type RedisStore, redisStore } from "./redis-store.ts";
