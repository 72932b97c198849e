import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { session } from "@lanai/session";
import Koa from "koa";

declare module "@lanai/session" {
  interface SessionData {
    cart: string[];
    visits: number;
    notice: string;
  }
}

const router = new Router();

router.post("/cart/:item", async (ctx) => {
  const { item = "" } = ctx.params;
  // Two tabs that add at the same moment both count.
  await ctx.session.update("cart", (cart = []) => [...cart, item]);
  ctx.session.set("notice", `${item} is in the cart`);
  ctx.redirect("/cart");
});

router.get("/cart", async (ctx) => {
  // Taken out at once: of two tabs one shows it.
  const notice = await ctx.session.popString("notice");
  ctx.body = { notice, cart: ctx.session.get("cart") ?? [] };
});

const app = new Koa();
app.use(sameOrigin());
app.use(session());
app.use(router.routes());
app.listen(3000);
