import { createSessions } from "@lanai/session";
import { fromExpressStore } from "@lanai/session-compat";
import { RedisStore } from "connect-redis";
import Koa from "koa";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://localhost:6379" });
client.on("error", console.error);
const store = fromExpressStore(new RedisStore({ client }));
const sessions = createSessions({ store });

const app = new Koa();
app.use(sessions.middleware());

app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}\n`;
});

void client.connect().then(() => app.listen(Number(process.env.PORT ?? 3000)));
