import { createSessions } from "@lanai/session";
import Koa from "koa";
import session from "koa-session";

const app = new Koa();
app.keys = [process.env.SECRET];
// The cookies need different names: the old one is only read, until nobody has it any more.
app.use(session({ key: "sid", maxAge: 30 * 60 * 1000 }, app));
const sessions = createSessions({ property: "lanai", name: "sid2" });
app.use(sessions.middleware());

app.use(async (ctx, next) => {
  const { user, visits } = ctx.session;
  if (user !== undefined && ctx.lanai.userId === undefined) {
    ctx.lanai.login(user);
    if (visits !== undefined) ctx.lanai.set("visits", visits);
    await ctx.lanai.commit(); // if it rejects, the old session stays
    ctx.session = null;
  }
  await next();
});

app.use(async (ctx) => {
  if (ctx.path === "/sign-in") ctx.lanai.login("ada");
  if (ctx.path === "/sign-out") {
    await ctx.lanai.destroy();
    ctx.body = "Bye\n";
    return;
  }
  ctx.lanai.set("visits", ctx.lanai.getInt("visits") + 1);
  ctx.body = `${ctx.lanai.userId ?? "stranger"}, visit ${ctx.lanai.getInt("visits")}\n`;
});

app.listen(process.env.PORT ?? 3000);
