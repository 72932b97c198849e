import { createPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { connect } from "@nats-io/transport-node";
import Koa from "koa";

const nats = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
  pingInterval: 15_000,
  timeout: 5_000,
});
const bus = createPubSub({ backend: natsPubSub(nats) });
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
  server.close(() => void bus.close().then(() => nats.drain()));
});
