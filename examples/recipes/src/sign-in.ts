import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession } from "@lanai/session";
import Koa from "koa";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const sessions = createSessions({
  store: memoryStore(),
  idleTimeout: 20 * MINUTE,
  absoluteTimeout: 12 * HOUR,
});

const router = new Router();

router.post("/sign-in", (ctx) => {
  // Here you would have checked a password.
  ctx.session.login("ada");
  ctx.session.set("theme", "dark");
  if (ctx.query.stay === "yes") ctx.session.persist(30 * DAY);
  ctx.redirect("/");
});

router.get("/", requireSession({ user: true }), (ctx) => {
  ctx.body = `Hello ${ctx.session.userId}, your theme is ${ctx.session.getString("theme")}\n`;
});

router.post("/sign-out", async (ctx) => {
  await ctx.session.destroy();
  ctx.body = "Bye\n";
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.listen(3000);
