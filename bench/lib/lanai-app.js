import { setTimeout as sleep } from "node:timers/promises";
import { createSessions } from "@lanai/session";
import { LIFETIME } from "./config.js";
import { fiveKeys, nextNumber } from "./data.js";
import { koaApp } from "./koa-app.js";

const set = (session, data) => {
  for (const [key, value] of Object.entries(data)) session.set(key, value);
};

const eager = {
  login: (ctx) => set(ctx.session, fiveKeys()),
  read: (ctx) => ctx.session.get("name"),
  write: (ctx) => ctx.session.set("n", nextNumber()),
  readWaitWrite: async (ctx, key, ms) => {
    ctx.session.get("name");
    await sleep(ms);
    ctx.session.set(key, 1);
  },
  writeWait: async (ctx, key, ms) => {
    ctx.session.set(key, 1);
    await sleep(ms);
  },
  dump: (ctx) => ctx.session.toJSON(),
  logout: (ctx) => ctx.session.destroy(),
};

/** Each handler asks for the session before it uses it. */
const lazy = Object.fromEntries(
  Object.entries(eager).map(([name, handler]) => [
    name,
    async (ctx, ...args) => {
      await ctx.session.load();
      return handler(ctx, ...args);
    },
  ]),
);

/** An app with our sessions; `options` are those of `createSessions`. */
export const lanaiApp = (options) =>
  koaApp({
    install: (app) => {
      const sessions = createSessions({
        idleTimeout: LIFETIME,
        absoluteTimeout: Number.POSITIVE_INFINITY,
        ...options,
      });
      app.use(sessions.middleware());
    },
    handlers: options.load === "lazy" ? lazy : eager,
    count: () => options.store.size,
  });
