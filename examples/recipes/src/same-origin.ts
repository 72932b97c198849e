import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { session } from "@lanai/session";
import Koa from "koa";

const router = new Router();
router.post("/sign-in", (ctx) => {
  ctx.session.login("ada");
  ctx.status = 204;
});
router.post("/theme/:name", (ctx) => {
  ctx.session.set("theme", String(ctx.params.name));
  ctx.status = 204;
});

const app = new Koa();
app.use(sameOrigin({ origins: ["https://admin.example.com"] }));
app.use(session());
app.use(router.routes());
app.listen(3000);
