// @lanai/session with its store in Redis.
import { redisStore } from "@lanai/session-redis";
import { lanaiApp } from "../lib/lanai-app.js";
import { redisClient } from "../lib/redis-client.js";

export const variant = () => lanaiApp({ store: redisStore(redisClient()) });
