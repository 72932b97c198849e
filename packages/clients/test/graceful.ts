import { createServer } from "node:http";
import { createClients } from "@lanai/clients";
import { gracefulShutdown, healthProbe } from "@lanai/clients/lifecycle";
import { createPubSub } from "@lanai/pubsub";
import { createSessions, memoryStore } from "@lanai/session";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";

const store = memoryStore();
const bus = createPubSub();
const sessions = createSessions({ store });
const clients = createClients({ sessions, pubsub: bus });
const streams = sse();

const app = new Koa();
const server = createServer();
const upgrades = attachUpgrade(server, app);
const shutdown = gracefulShutdown({
  server,
  live: [clients, upgrades, streams],
  resources: [() => bus.close()],
  delay: Number(process.env.DELAY ?? 5_000),
  over: Number(process.env.OVER ?? 5_000),
});
const probe = healthProbe({ store, pubsub: bus, shutdown });

app.use((ctx, next) => (ctx.path === "/health" ? probe(ctx) : next()));
app.use(sessions.middleware());
app.use(clients.middleware());
app.use(streams);
app.use(async (ctx) => {
  if (ctx.path !== "/live") return;
  const listener = await clients.attach(ctx, { anonymous: true });
  listener.on("say", (text) => clients.send({ everyone: true }, "said", text));
});

const handle = app.callback();
server.on("request", (request, response) => void handle(request, response));
server.listen(Number(process.env.PORT ?? 3000));
