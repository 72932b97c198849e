import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession } from "@lanai/session";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore() });
const router = new Router();

router.post("/sign-in/:user", (ctx) => {
  // Here you would have checked a password.
  ctx.session.login(ctx.params.user ?? "");
  ctx.status = 204;
});

router.post("/act-for/:user", requireSession({ user: true }), (ctx) => {
  // Who may act for whom is for the app to say.
  if (ctx.session.userId !== "root") ctx.throw(403);
  ctx.session.impersonate(ctx.params.user ?? "");
  ctx.status = 204;
});

router.post("/stop", async (ctx) => {
  ctx.body = { isBack: await ctx.session.stopImpersonating() };
});

router.get("/", requireSession({ user: true }), (ctx) => {
  const { userId, impersonator } = ctx.session;
  ctx.body = impersonator ? `${impersonator.userId} acts for ${userId}\n` : `Hello ${userId}\n`;
});

router.post("/delete-account", requireSession({ user: true, impersonated: false }), (ctx) => {
  ctx.status = 204;
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.listen(3000);
