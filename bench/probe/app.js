import { once } from "node:events";
import { Gates } from "./gates.js";

/** Calls that a store makes a round trip for, by the names that stores have for them. */
const CALLS = /^(get|set|touch|destroy|load|create|commit|destroyByPublicId|destroyAll|list)$/;

/** Counts the calls of a store. */
const watcher = () => {
  const seen = { calls: 0, isWatching: false };
  const watch = (store) => {
    seen.isWatching = true;
    return new Proxy(store, {
      get(target, name) {
        const value = target[name];
        if (typeof value !== "function") return value;
        return (...args) => {
          if (CALLS.test(String(name))) seen.calls++;
          return value.apply(target, args);
        };
      },
    });
  };
  return { seen, watch };
};

const called = (object, method) =>
  new Promise((resolve, reject) => {
    object[method]((error) => (error ? reject(error) : resolve()));
  });

/** What the frameworks differ by: what a session is, how it ends, and how it gets a new id. */
const onKoa = {
  session: (ctx) => ctx.session,
  logout: (ctx) => {
    ctx.session = null;
  },
  renewOf: (ctx) => {
    if (ctx.regenerateSession) return () => ctx.regenerateSession();
    if (ctx.sessionHandler) return () => ctx.sessionHandler.regenerateId();
    if (ctx.session?.regenerate) return () => called(ctx.session, "regenerate");
    return undefined;
  },
};
const onExpress = {
  session: (req) => req.session,
  logout: (req) => called(req.session, "destroy"),
  renewOf: (req) => req.session.regenerate && (() => called(req.session, "regenerate")),
};
const onFastify = {
  session: (req) => req.session,
  logout: (req) => req.session.destroy(),
  renewOf: (req) => req.session.regenerate && (() => req.session.regenerate()),
};

/** How a set-up does what the probe asks for; what it doesn't say is done as with a plain object. */
const doing = (framework, own) => {
  const session = own.session ?? framework.session;
  const plain = {
    get: async (at, key) => (await session(at))?.[key],
    set: async (at, key, value) => {
      (await session(at))[key] = value;
    },
    all: async (at) => {
      const { cookie: _, ...data } = (await session(at)) ?? {};
      return data;
    },
    logout: framework.logout,
    login: (at, user) => does.set(at, "user", user),
    user: (at) => does.get(at, "user"),
    renew: (at) => framework.renewOf(at)?.(),
    canRenew: (at) => own.renew !== undefined || framework.renewOf(at) !== undefined,
    leaveFlash: async (at, text) =>
      does.set(at, "messages", [...((await does.get(at, "messages")) ?? []), text]),
    takeFlash: async (at) => {
      const messages = (await does.get(at, "messages")) ?? [];
      await does.set(at, "messages", []);
      return messages;
    },
    save: () => {},
  };
  const does = { ...plain, ...own };
  return does;
};

const frameworkOf = (app) => {
  if (Array.isArray(app?.middleware) && typeof app.callback === "function") return "koa";
  if (typeof app === "function" && typeof app.use === "function") return "express";
  if (typeof app?.inject === "function" && typeof app.register === "function") return "fastify";
  throw new TypeError(
    "The module's default export must return a Koa, Express or Fastify app, or an object with it as `app`.",
  );
};

const listen = async (server) => {
  if (!server.listening) await once(server, "listening");
  return server;
};

/** Adds the probe's only route: it plays the steps that a request names, and responds with what they gave. */
const servers = {
  koa(app, play) {
    app.silent = true;
    app.use(async (ctx) => {
      const results = await play(ctx.query.steps, ctx);
      ctx.body = JSON.stringify(results);
    });
    return listen(app.listen(0, "127.0.0.1"));
  },
  express(app, play) {
    app.use(async (req, res, next) => {
      try {
        const steps = new URL(req.url, "http://x").searchParams.get("steps");
        res.type("text/plain").send(JSON.stringify(await play(steps, req)));
      } catch (error) {
        next(error);
      }
    });
    // Express knows a handler of errors by its four parameters.
    app.use((_error, _req, res, _next) => {
      res.status(500).send("error");
    });
    return listen(app.listen(0, "127.0.0.1"));
  },
  async fastify(app, play) {
    app.get("/*", async (req, reply) => {
      const text = JSON.stringify(await play(req.query.steps, req));
      reply.type("text/plain");
      return text;
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    return app.server;
  },
};

/** Serves a set-up's app with the probe's route: what the module's default export makes. */
export const serve = async (setUp) => {
  const { seen, watch } = watcher();
  const made = await setUp({ watch });
  const { app, ...own } = made?.app ? made : { app: made };
  const framework = frameworkOf(app);
  const does = doing({ koa: onKoa, express: onExpress, fastify: onFastify }[framework], own);
  const gates = new Gates();
  const steps = {
    ...does,
    gate: (_at, name) => gates.pass(name),
    fail: () => {
      throw new Error("the probe's handler fails");
    },
  };
  const play = async (text, at) => {
    const results = [];
    const asked = JSON.parse(text);
    for (const [step, ...args] of asked) results.push((await steps[step](at, ...args)) ?? null);
    if (asked.length > 0) await does.save(at);
    return results;
  };
  const server = await servers[framework](app, play);
  return {
    port: server.address().port,
    framework,
    gates,
    seen,
    async close() {
      server.closeAllConnections();
      server.close();
      await own.close?.();
    },
  };
};
