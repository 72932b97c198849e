// Koa with the least that can be had of Redis instead of sessions: one HGETALL for each request with a
// cookie.
import { randomUUID } from "node:crypto";
import { fiveKeys, nextNumber } from "../lib/data.js";
import { koaApp } from "../lib/koa-app.js";
import { redisClient } from "../lib/redis-client.js";

const texts = (data) =>
  Object.entries(data).flatMap(([key, value]) => [key, JSON.stringify(value)]);

export const variant = () => {
  const redis = redisClient();
  const keyOf = (id) => `hgetall:${id}`;
  return koaApp({
    install: (app) =>
      app.use(async (ctx, next) => {
        const id = ctx.cookies.get("sid");
        if (id) ctx.state.fields = await redis.hgetall(keyOf(id));
        ctx.state.key = keyOf(id);
        await next();
      }),
    handlers: {
      async login(ctx) {
        const id = randomUUID();
        await redis.hset(keyOf(id), ...texts(fiveKeys()));
        ctx.cookies.set("sid", id);
      },
      read: (ctx) => JSON.parse(ctx.state.fields.name),
      write: (ctx) => redis.hset(ctx.state.key, ...texts({ n: nextNumber() })),
      dump: (ctx) =>
        Object.fromEntries(
          Object.entries(ctx.state.fields).map(([key, text]) => [key, JSON.parse(text)]),
        ),
      logout: (ctx) => redis.del(ctx.state.key),
    },
  });
};
