import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore } from "@lanai/session";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore(), load: "lazy" });
const router = new Router();

router.get("/health", (ctx) => {
  ctx.body = "ok\n"; // No call of the store, whatever cookie came.
});

router.get("/greeting", async (ctx) => {
  await ctx.session.load();
  ctx.body = `Hello ${ctx.session.userId ?? "stranger"}\n`;
});

router.get("/count", sessions.preload(), (ctx) => {
  const count = ctx.session.getInt("count") + 1;
  ctx.session.set("count", count);
  ctx.body = `${count}\n`;
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.listen(3000);
