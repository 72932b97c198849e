import { setTimeout as sleep } from "node:timers/promises";
import Fastify from "fastify";
import { HOST } from "./config.js";
import { fiveKeys, nextNumber } from "./data.js";

const plainObject = {
  dump: (req) => {
    const { cookie, ...data } = req.session;
    return data;
  },
  logout: (req) => req.session.destroy(),
};

/** The app of every Fastify variant: the routes of `koa-app.js`. */
export const fastifyApp = async ({ install = () => {}, handlers = {}, ...more } = {}) => {
  const does = { ...plainObject, ...handlers };
  const app = Fastify({ logger: false });
  await install(app);
  const ok = (reply) => reply.type("text/plain").send("ok");

  app.get("/plain", (_req, reply) => {
    ok(reply);
  });
  app.get("/read", (req, reply) => {
    reply.type("text/plain").send(req.session?.name ?? "none");
  });
  app.get("/write", (req, reply) => {
    if (req.session) req.session.n = nextNumber();
    ok(reply);
  });
  app.get("/login", (req, reply) => {
    for (const [key, value] of Object.entries(fiveKeys())) req.session[key] = value;
    ok(reply);
  });
  app.get("/slow", async (req, reply) => {
    void req.session.name;
    await sleep(Number(req.query.ms));
    req.session[req.query.k] = 1;
    return ok(reply);
  });
  app.get("/boom", async (req) => {
    req.session[req.query.k] = 1;
    await sleep(Number(req.query.ms));
    throw new Error("boom");
  });
  app.get("/dump", (req, reply) => {
    reply.type("text/plain").send(JSON.stringify(does.dump(req)));
  });
  app.get("/logout", async (req, reply) => {
    await does.logout(req);
    return ok(reply);
  });
  const listen = async (port) => {
    await app.listen({ port, host: HOST });
    return app.server;
  };
  return { listen, ...more };
};
