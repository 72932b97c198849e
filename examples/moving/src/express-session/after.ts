import { sameOrigin } from "@lanai/same-origin";
import { session } from "@lanai/session";
import { fromExpressStore } from "@lanai/session-compat";
import { RedisStore } from "connect-redis";
import Koa from "koa";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://localhost" });
client.on("error", console.error);

const app = new Koa();
app.use(sameOrigin());

const store = fromExpressStore(new RedisStore({ client }));
app.use(session({ store, idleTimeout: 30 * 60 * 1000 }));

app.use(async (ctx, next) => {
  if (ctx.path === "/sign-in") ctx.session.login("ada");
  if (ctx.path !== "/sign-out") return next();
  await ctx.session.destroy();
  ctx.body = "Bye\n";
});

app.use(async (ctx) => {
  const visits = await ctx.session.update("visits", (count) => Number(count ?? 0) + 1);
  ctx.body = `${ctx.session.userId ?? "stranger"}, visit ${visits}\n`;
});

void client.connect().then(() => app.listen(process.env.PORT ?? 3000));
