import { sameOrigin } from "@lanai/same-origin";
import { sealedStore, session } from "@lanai/session";
import Koa from "koa";

const app = new Koa();
app.use(sameOrigin());

const store = sealedStore({ context: "app", keys: [process.env.SECRET ?? ""] });
app.use(session({ store, idleTimeout: 30 * 60 * 1000 }));

app.use(async (ctx) => {
  if (ctx.path === "/sign-in") ctx.session.login("ada");
  if (ctx.path === "/sign-out") {
    await ctx.session.destroy();
    ctx.body = "Bye\n";
    return;
  }
  ctx.session.set("visits", ctx.session.getInt("visits") + 1);
  ctx.body = `${ctx.session.userId ?? "stranger"}, visit ${ctx.session.getInt("visits")}\n`;
});

app.listen(process.env.PORT ?? 3000);
