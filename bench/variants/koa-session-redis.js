// koa-session with a store on ioredis, as its documentation describes one.
import { createSession } from "koa-session";
import { LIFETIME } from "../lib/config.js";
import { koaApp } from "../lib/koa-app.js";
import { redisClient } from "../lib/redis-client.js";

export const variant = () => {
  const redis = redisClient();
  const nameOf = (key) => `koa-session:${key}`;
  const store = {
    get: async (key) => JSON.parse(await redis.get(nameOf(key))),
    set: (key, session, maxAge) => redis.set(nameOf(key), JSON.stringify(session), "PX", maxAge),
    destroy: (key) => redis.del(nameOf(key)),
  };
  return koaApp({
    install: (app) => app.use(createSession({ key: "sid", store, maxAge: LIFETIME }, app)),
  });
};
