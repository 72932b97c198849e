// koa-session-minimal with its MemoryStore, which has a timer for each session.
import session from "koa-session-minimal";
import MemoryStore from "koa-session-minimal/src/memory_store.js";
import { LIFETIME } from "../lib/config.js";
import { koaApp } from "../lib/koa-app.js";

export const variant = () => {
  const store = new MemoryStore();
  return koaApp({
    install: (app) => app.use(session({ key: "sid", store, cookie: { maxAge: LIFETIME } })),
    count: () => Object.keys(store.sessions).length,
    set: (id, data) => store.set(id, data, LIFETIME),
  });
};
