// @fastify/secure-session: the whole session in an encrypted cookie.
import { randomBytes } from "node:crypto";
import secureSession from "@fastify/secure-session";
import Fastify from "fastify";

export const title = "@fastify/secure-session";

const setUp = async () => {
  const app = Fastify({ logger: false });
  await app.register(secureSession, { key: randomBytes(32), cookie: { path: "/" } });
  return {
    app,
    get: (req, key) => req.session.get(key),
    set: (req, key, value) => req.session.set(key, value),
    all: (req) => req.session.data(),
    logout: (req) => req.session.delete(),
  };
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
