// express-session with the package memorystore: bounded, with a periodic prune.
import session from "express-session";
import memorystore from "memorystore";
import { expressApp } from "../lib/express-app.js";
import { expressCookie, expressSession } from "../lib/express-session.js";

const MemoryStore = memorystore(session);

export const variant = () => {
  const store = new MemoryStore({ checkPeriod: 5_000 });
  return expressApp({
    install: (app) => app.use(expressSession(store)),
    count: () => store.store.itemCount,
    set: (id, data) => store.set(id, { ...data, cookie: expressCookie() }, () => {}),
  });
};
