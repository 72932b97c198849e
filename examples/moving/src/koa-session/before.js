import Koa from "koa";
import session from "koa-session";

const app = new Koa();
app.keys = [process.env.SECRET];
app.use(session({ key: "sid", maxAge: 30 * 60 * 1000, rolling: true }, app));

app.use(async (ctx) => {
  if (ctx.path === "/sign-in") {
    ctx.session.user = "ada";
    await ctx.session.regenerate();
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
