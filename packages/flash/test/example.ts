import Router from "@koa/router";
import { flash } from "@lanai/flash";
import { session } from "@lanai/session";
import Koa from "koa";

const router = new Router();

router.post("/notes", (ctx) => {
  ctx.flash.success("Your note is saved");
  ctx.redirect("/notes");
});

router.get("/notes", async (ctx) => {
  const messages = await ctx.flash.pop();
  ctx.body = messages.map(({ level, message }) => `${level}: ${message}\n`).join("") || "No news\n";
});

const app = new Koa();
app.use(session());
app.use(flash());
app.use(router.routes());
app.listen(Number(process.env.PORT ?? 3000));
