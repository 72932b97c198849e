import { setTimeout as sleep } from "node:timers/promises";
import Koa from "koa";
import { HOST, SECRET } from "./config.js";
import { fiveKeys, nextNumber } from "./data.js";

/** What the routes do with a session that is a plain object at `ctx.session`. */
const plainObject = {
  login: (ctx) => Object.assign(ctx.session, fiveKeys()),
  read: (ctx) => ctx.session.name,
  write: (ctx) => {
    ctx.session.n = nextNumber();
  },
  readWaitWrite: async (ctx, key, ms) => {
    void ctx.session.name;
    await sleep(ms);
    ctx.session[key] = 1;
  },
  writeWait: async (ctx, key, ms) => {
    ctx.session[key] = 1;
    await sleep(ms);
  },
  dump: (ctx) => ctx.session,
  logout: (ctx) => {
    ctx.session = null;
  },
};

/**
 * The app of every Koa variant. `install` mounts its sessions, `handlers` replaces what it does
 * otherwise than with a plain object, `count` tells how many sessions are held.
 */
export const koaApp = ({ install = () => {}, handlers = {}, ...more } = {}) => {
  const does = { ...plainObject, ...handlers };
  const app = new Koa();
  app.keys = [SECRET];
  app.silent = true;
  install(app);
  app.use(async (ctx) => {
    const { k: key, ms = 1 } = ctx.path === "/plain" ? {} : ctx.query;
    switch (ctx.path) {
      case "/plain":
        break;
      case "/read":
        ctx.body = (await does.read(ctx)) ?? "none";
        return;
      case "/write":
        await does.write(ctx);
        break;
      case "/login":
        await does.login(ctx);
        break;
      case "/slow":
        await does.readWaitWrite(ctx, key, Number(ms));
        break;
      case "/boom":
        await does.writeWait(ctx, key, Number(ms));
        throw new Error("boom");
      case "/dump":
        // As text, so that nothing that is done with the body reaches the session.
        ctx.body = JSON.stringify((await does.dump(ctx)) ?? {});
        return;
      case "/logout":
        await does.logout(ctx);
        break;
      default:
        return;
    }
    ctx.body = "ok";
  });
  const listen = (port) =>
    new Promise((resolve) => {
      const server = app.listen(port, HOST, () => resolve(server));
    });
  return { listen, callback: () => app.callback(), ...more };
};
