import { createSessions } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import Koa from "koa";

const redis = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379", {
  maxRetriesPerRequest: 1,
  // After a failover under a living connection: connect again, and send the command again.
  reconnectOnError: (error) => (error.message.includes("READONLY") ? 2 : false),
});
redis.on("error", (error) => console.error(`Redis: ${error.message}`));
const sessions = createSessions({ store: redisStore(redis) });

const app = new Koa();
app.use(sessions.middleware());

app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}\n`;
});

app.listen(Number(process.env.PORT ?? 3000));
