// @lanai/session with the whole session in an encrypted cookie, and @lanai/flash.
import { flash } from "@lanai/flash";
import { createSessions, sealedStore } from "@lanai/session";
import Koa from "koa";

export const title = "@lanai/session, sealedStore";

const setUp = () => {
  const app = new Koa();
  app.use(
    createSessions({
      store: sealedStore({ context: "app", keys: ["of at least 32 bytes, for this probe"] }),
    }).middleware(),
  );
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
