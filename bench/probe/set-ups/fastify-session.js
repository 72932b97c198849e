// @fastify/session with its MemoryStore.
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import Fastify from "fastify";

export const title = "@fastify/session";

const setUp = async ({ watch }) => {
  const app = Fastify({ logger: false });
  await app.register(cookie);
  await app.register(session, {
    secret: "of at least 32 characters, for this probe",
    store: watch(new session.MemoryStore()),
    saveUninitialized: false,
    cookie: { secure: false },
  });
  return app;
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
