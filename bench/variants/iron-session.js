// iron-session on Koa: the whole session in an encrypted cookie, opened by the routes that need it.
import { setTimeout as sleep } from "node:timers/promises";
import { getIronSession } from "iron-session";
import { LIFETIME, SECRET } from "../lib/config.js";
import { fiveKeys, nextNumber } from "../lib/data.js";
import { koaApp } from "../lib/koa-app.js";

const options = {
  password: SECRET,
  cookieName: "sid",
  ttl: Math.max(1, Math.round(LIFETIME / 1000)),
  cookieOptions: { secure: false },
};
const open = (ctx) => getIronSession(ctx.req, ctx.res, options);

export const variant = () =>
  koaApp({
    handlers: {
      login: async (ctx) => {
        const session = await open(ctx);
        Object.assign(session, fiveKeys());
        await session.save();
      },
      read: async (ctx) => (await open(ctx)).name,
      write: async (ctx) => {
        const session = await open(ctx);
        session.n = nextNumber();
        await session.save();
      },
      readWaitWrite: async (ctx, key, ms) => {
        const session = await open(ctx);
        await sleep(ms);
        session[key] = 1;
        await session.save();
      },
      writeWait: async (ctx, key, ms) => {
        const session = await open(ctx);
        session[key] = 1;
        await sleep(ms);
      },
      dump: async (ctx) => ({ ...(await open(ctx)) }),
      logout: async (ctx) => (await open(ctx)).destroy(),
    },
  });
