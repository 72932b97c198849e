import { createServer } from "node:http";
import { createClients } from "@lanai/clients";
import { gracefulShutdown, healthProbe } from "@lanai/clients/lifecycle";
import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { createSessions } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import { Redis } from "ioredis";
import Koa from "koa";

/** One process of the app that is restarted under load: it counts, publishes, and hears its tabs. */
const { port, redis: redisPort } = JSON.parse(process.argv[2] ?? "{}");

const redis = new Redis({ port: redisPort });
const busRedis = new Redis({ port: redisPort });
const store = redisStore(redis);
const bus = createPubSub({ backend: redisPubSub(busRedis) });
await bus.ensureStream({ name: "room", subjects: ["room.>"], maxMsgs: 100_000 });
const sessions = createSessions({ store });
const clients = createClients({ sessions, pubsub: bus });

const app = new Koa();
app.proxy = true;
const server = createServer();
const upgrades = attachUpgrade(server, app);
const shutdown = gracefulShutdown({
  server,
  live: [clients, upgrades],
  resources: [() => bus.close(), () => redis.quit(), () => busRedis.quit()],
  ...{ delay: 300, over: 300, timeout: 20_000 },
});
const probe = healthProbe({ store, pubsub: bus, shutdown });

app.use((ctx, next) => (ctx.path === "/health" ? probe(ctx) : next()));
app.use(sessions.middleware());
app.use(clients.middleware());
app.use(sse());
app.use(bus.middleware());
app.use(async (ctx) => {
  if (ctx.path === "/count") {
    const count = await ctx.session.update("count", (before) => Number(before ?? 0) + 1);
    ctx.body = `${count}`;
  } else if (ctx.path === "/publish") {
    await bus.publish("room.all", Number(ctx.query.n));
    ctx.body = "published";
  } else if (ctx.path === "/live") {
    const { since } = ctx.query as { since?: string };
    const listener = await clients.attach(ctx, { anonymous: true });
    listener.on("say", (text) => redis.rpush("said", String(text)));
    await ctx.pubsub.subscribe<number>(
      "room.all",
      (n, { id }) => listener.send("said", { n, id }),
      since === undefined ? { replay: 10_000 } : { since },
    );
  }
});

const handle = app.callback();
server.on("request", (request, response) => void handle(request, response));
server.listen(port, "127.0.0.1", () => console.log("ready"));
