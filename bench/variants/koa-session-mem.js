// koa-session with the store that its documentation implies, as it has none: a Map without expiry.
import { createSession } from "koa-session";
import { LIFETIME } from "../lib/config.js";
import { koaApp } from "../lib/koa-app.js";

export const variant = () => {
  const sessions = new Map();
  const store = {
    get: async (key) => sessions.get(key),
    set: async (key, session) => {
      sessions.set(key, session);
    },
    destroy: async (key) => {
      sessions.delete(key);
    },
  };
  return koaApp({
    install: (app) => app.use(createSession({ key: "sid", store, maxAge: LIFETIME }, app)),
    count: () => sessions.size,
    set: (id, data) => store.set(id, data),
  });
};
