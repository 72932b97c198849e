import Koa from "koa";
import session from "koa-generic-session";
import koaRedis from "koa-redis";

const app = new Koa();
app.keys = [process.env.SECRET];
app.use(
  session({
    key: "sid",
    prefix: "app:",
    ttl: 30 * 60 * 1000,
    rolling: true,
    store: koaRedis({ url: process.env.REDIS_URL }),
  }),
);

app.use(async (ctx) => {
  if (ctx.path === "/sign-in") {
    const { visits } = ctx.session;
    await ctx.regenerateSession();
    ctx.session.user = "ada";
    ctx.session.visits = visits;
  }
  if (ctx.path === "/sign-out") {
    ctx.session = null;
    ctx.body = "Bye\n";
    return;
  }
  ctx.session.visits = (ctx.session.visits ?? 0) + 1;
  ctx.body = `${ctx.session.user ?? "stranger"}, visit ${ctx.session.visits}\n`;
});

app.listen(process.env.PORT ?? 3000);
