import { Redis } from "ioredis";
import { REDIS_PORT } from "./config.js";

/** A connection to the run's own Redis. */
export const redisClient = (options = {}) => new Redis(REDIS_PORT, options);
