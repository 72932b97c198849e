// express-session with its MemoryStore.
import session from "express-session";
import { expressApp } from "../lib/express-app.js";
import { expressCookie, expressSession } from "../lib/express-session.js";

export const variant = () => {
  const store = new session.MemoryStore();
  return expressApp({
    install: (app) => app.use(expressSession(store)),
    count: () => Object.keys(store.sessions).length,
    set: (id, data) => store.set(id, { ...data, cookie: expressCookie() }),
  });
};
