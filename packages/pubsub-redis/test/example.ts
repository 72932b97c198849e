import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import Koa from "koa";

const redis = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379", {
  // After a failover under a living connection: connect again, and send the command again.
  reconnectOnError: (error) => (error.message.includes("READONLY") ? 2 : false),
});
redis.on("error", console.error);

const bus = createPubSub({ backend: redisPubSub(redis) });
await bus.ensureStream({ name: "chat", subjects: ["chat.>"], maxMsgs: 1_000 });
await bus.subscribe("chat.*", (text, { subject }) => console.log(`${subject}: ${text}`));

const app = new Koa();
app.use(bus.middleware());
app.use(async (ctx) => {
  if (ctx.method === "POST") await ctx.pubsub.publish("chat.lobby", ctx.query.text);
  const said = await ctx.pubsub.history("chat.lobby", 10);
  ctx.body = said.map(({ data }) => `${data}\n`).join("");
});

const server = app.listen(Number(process.env.PORT ?? 3000));

process.once("SIGTERM", () => {
  server.close(() => void bus.close().then(() => redis.quit()));
});
