// @lanai/session with its memory store, and @lanai/flash.
import { flash } from "@lanai/flash";
import { createSessions, memoryStore } from "@lanai/session";
import Koa from "koa";

export const title = "@lanai/session";

const setUp = ({ watch }) => {
  const app = new Koa();
  app.use(createSessions({ store: watch(memoryStore()) }).middleware());
  app.use(flash());
  return {
    app,
    get: (ctx, key) => ctx.session.get(key),
    set: (ctx, key, value) => ctx.session.set(key, value),
    all: (ctx) => ctx.session.toJSON(),
    login: (ctx, user) => ctx.session.login(user),
    user: (ctx) => ctx.session.userId,
    logout: (ctx) => ctx.session.destroy(),
    renew: (ctx) => ctx.session.renewId(),
    leaveFlash: (ctx, text) => ctx.flash(text),
    takeFlash: async (ctx) => (await ctx.flash.pop()).map(({ message }) => message),
  };
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
