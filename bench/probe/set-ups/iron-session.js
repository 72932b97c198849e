// iron-session on Koa: the whole session in an encrypted cookie.
import { getIronSession } from "iron-session";
import Koa from "koa";

export const title = "iron-session";

const options = {
  password: "of at least 32 characters, for this probe",
  cookieName: "sid",
  cookieOptions: { secure: false },
};

const setUp = () => {
  const session = async (ctx) => {
    ctx.state.session ??= await getIronSession(ctx.req, ctx.res, options);
    return ctx.state.session;
  };
  return {
    app: new Koa(),
    session,
    all: async (ctx) => ({ ...(await session(ctx)) }),
    async logout(ctx) {
      (await session(ctx)).destroy();
      ctx.state.ended = true;
    },
    async save(ctx) {
      if (ctx.state.session && !ctx.state.ended) await ctx.state.session.save();
    },
  };
};

// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
