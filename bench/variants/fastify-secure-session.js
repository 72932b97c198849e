// @fastify/secure-session: the whole session in an encrypted cookie.
import { createHash } from "node:crypto";
import secureSession from "@fastify/secure-session";
import { LIFETIME, SECRET } from "../lib/config.js";
import { fastifyApp } from "../lib/fastify-app.js";

const seconds = Math.max(1, Math.round(LIFETIME / 1000));

export const variant = () =>
  fastifyApp({
    install: (app) =>
      app.register(secureSession, {
        cookieName: "sid",
        key: createHash("sha256").update(SECRET).digest(),
        expiry: seconds,
        cookie: { path: "/", httpOnly: true, maxAge: seconds },
      }),
    handlers: {
      dump: (req) => req.session.data(),
      logout: (req) => req.session.delete(),
    },
  });
