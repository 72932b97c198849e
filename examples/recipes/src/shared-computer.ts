import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore } from "@lanai/session";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore() });
const router = new Router();

router.post("/sign-in/:user", (ctx) => {
  ctx.session.login(ctx.params.user ?? "");
  ctx.status = 204;
});

router.post("/sign-out", async (ctx) => {
  // What the pages have kept in the browser goes, too. Over plain HTTP browsers would ignore it.
  await ctx.session.destroy({ clearSiteData: ["storage", "cache"] });
  ctx.body = "Bye\n";
});

const app = new Koa({ proxy: process.env.BEHIND_PROXY === "yes" });
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.listen(3000);
