// @fastify/session with its MemoryStore. `rolling`, its default, is off: no other variant has it.
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import { LIFETIME, SECRET } from "../lib/config.js";
import { fastifyApp } from "../lib/fastify-app.js";

export const variant = () => {
  const store = new session.MemoryStore();
  return fastifyApp({
    install: async (app) => {
      await app.register(cookie);
      await app.register(session, {
        cookieName: "sid",
        secret: SECRET,
        store,
        rolling: false,
        saveUninitialized: false,
        cookie: { secure: false, maxAge: LIFETIME },
      });
    },
    count: () => store.store.size,
  });
};
