import cors from "@koa/cors";
import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { requireSession, type Sessions } from "@lanai/session";
import Koa from "koa";

/** The API. Only pages of `origin` may call it and read its responses. */
export function api(sessions: Sessions, origin: string): Koa {
  const app = new Koa();
  app.use(sameOrigin({ origins: [origin] }));
  app.use(
    cors({
      origin: (ctx) => (ctx.get("Origin") === origin ? origin : ""),
      allowHeaders: ["Session-ID"],
      exposeHeaders: ["Session-ID"],
    }),
  );
  app.use(sessions.middleware());

  const router = new Router();
  // An app of your own asks for a password, too.
  router.post("/sign-in/:name", (ctx) => {
    const { name = "" } = ctx.params;
    ctx.session.login(name);
    ctx.body = { user: name, clicks: 0 };
  });

  const members = new Router();
  members.use(requireSession({ user: true }));

  members.get("/me", (ctx) => {
    ctx.body = { user: ctx.session.userId, clicks: ctx.session.getInt("clicks") };
  });

  members.post("/clicks", async (ctx) => {
    const clicks = await ctx.session.update("clicks", (before) => Number(before ?? 0) + 1);
    ctx.body = { user: ctx.session.userId, clicks };
  });

  members.post("/sign-out", async (ctx) => {
    await ctx.session.destroy();
    ctx.status = 204;
  });

  members.post("/sign-out-elsewhere", async (ctx) => {
    const { userId = "", publicId } = ctx.session;
    ctx.body = { ended: await sessions.destroyAll({ user: userId }, { except: publicId }) };
  });

  for (const it of [router, members]) app.use(it.routes());
  return app;
}
