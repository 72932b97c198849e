// koa-generic-session with its MemoryStore.
import session from "koa-generic-session";
import { LIFETIME } from "../lib/config.js";
import { koaApp } from "../lib/koa-app.js";

export const variant = () => {
  const store = new session.MemoryStore();
  return koaApp({
    install: (app) => app.use(session({ key: "sid", store, cookie: { maxAge: LIFETIME } })),
    handlers: {
      dump: (ctx) => {
        const { cookie, ...data } = ctx.session ?? {};
        return data;
      },
    },
    count: () => Object.keys(store.sessions).length,
    set: (id, data) => store.set(id, data),
  });
};
