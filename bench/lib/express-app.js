import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { HOST } from "./config.js";
import { fiveKeys, nextNumber } from "./data.js";

/** The app of every Express variant: the routes of `koa-app.js`. */
export const expressApp = ({ install = () => {}, ...more } = {}) => {
  const app = express();
  install(app);
  const ok = (res) => res.type("text/plain").send("ok");

  app.get("/plain", (_req, res) => {
    ok(res);
  });
  app.get("/read", (req, res) => {
    res.type("text/plain").send(req.session?.name ?? "none");
  });
  app.get("/write", (req, res) => {
    if (req.session) req.session.n = nextNumber();
    ok(res);
  });
  app.get("/login", (req, res) => {
    Object.assign(req.session, fiveKeys());
    ok(res);
  });
  app.get("/slow", async (req, res) => {
    void req.session.name;
    await sleep(Number(req.query.ms));
    req.session[req.query.k] = 1;
    ok(res);
  });
  app.get("/boom", async (req) => {
    req.session[req.query.k] = 1;
    await sleep(Number(req.query.ms));
    throw new Error("boom");
  });
  app.get("/dump", (req, res) => {
    const { cookie, ...data } = req.session;
    res.type("text/plain").send(JSON.stringify(data));
  });
  app.get("/logout", (req, res) => {
    req.session.destroy(() => ok(res));
  });
  // Express knows a handler of errors by its four parameters.
  app.use((_error, _req, res, _next) => {
    res.status(500).send("error");
  });
  const listen = (port) =>
    new Promise((resolve) => {
      const server = app.listen(port, HOST, () => resolve(server));
    });
  return { listen, ...more };
};
