import { Redis } from "ioredis";

/** A connection to the run's own Redis, which may have been started since this was imported. */
export const redisClient = (options = {}) =>
  new Redis({ port: Number(process.env.BENCH_REDIS_PORT), ...options });
