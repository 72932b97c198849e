import { sameOrigin } from "@lanai/same-origin";
import { session } from "@lanai/session";
import { fromKoaStore } from "@lanai/session-compat";
import Koa from "koa";
import koaRedis from "koa-redis";

const app = new Koa();
app.use(sameOrigin());

const store = fromKoaStore(koaRedis({ url: process.env.REDIS_URL }), { prefix: "app:" });
app.use(session({ store, idleTimeout: 30 * 60 * 1000 }));

app.use(async (ctx) => {
  if (ctx.path === "/sign-in") ctx.session.login("ada");
  if (ctx.path === "/sign-out") {
    await ctx.session.destroy();
    ctx.body = "Bye\n";
    return;
  }
  const visits = await ctx.session.update("visits", (count) => Number(count ?? 0) + 1);
  ctx.body = `${ctx.session.userId ?? "stranger"}, visit ${visits}\n`;
});

app.listen(process.env.PORT ?? 3000);
