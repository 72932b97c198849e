// A server with one channel, for `tabs.js`: by @lanai/channels, by socket.io, or by bare ws.
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";

const [name] = process.argv.slice(2);

const lanai = async (server, backend) => {
  const { default: Koa } = await import("koa");
  const { createSessions } = await import("@lanai/session");
  const { createClients } = await import("@lanai/clients");
  const { createPubSub } = await import("@lanai/pubsub");
  const { channel, createChannels, type } = await import("@lanai/channels");
  const { attachUpgrade } = await import("@lanai/websocket");
  const app = new Koa();
  const bus = createPubSub({ ...(backend && { backend }) });
  const sessions = createSessions();
  const clients = createClients({ sessions, pubsub: bus });
  const channels = createChannels({
    ...{ clients, pubsub: bus, anonymous: true },
    channels: { news: channel({ join: () => true, events: { item: { schema: type() } } }) },
  });
  await bus.ensureStream({ name: "news", subjects: ["channels.>"] });
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(channels.middleware());
  server.on("request", app.callback());
  attachUpgrade(server, app, { pingInterval: Number.POSITIVE_INFINITY });
  return (item) => channels.publish("news", {}, "item", item);
};

/** Tabs without a channel, each of a user of its own who is signed in, with a session in memory. */
const lanaiSession = async (server) => {
  const { default: Koa } = await import("koa");
  const { createSessions, memoryStore } = await import("@lanai/session");
  const { createClients } = await import("@lanai/clients");
  const { createPubSub } = await import("@lanai/pubsub");
  const { attachUpgrade } = await import("@lanai/websocket");
  const app = new Koa();
  const sessions = createSessions({ store: memoryStore() });
  const clients = createClients({ sessions, pubsub: createPubSub() });
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(async (ctx) => {
    if (ctx.path === "/live") {
      await clients.attach(ctx);
      return;
    }
    ctx.session.login(ctx.query.user);
    ctx.status = 204;
  });
  server.on("request", app.callback());
  attachUpgrade(server, app, { pingInterval: Number.POSITIVE_INFINITY });
  return (item) => clients.send({ everyone: true }, "item", item);
};

const lanaiOnRedis = async (server) => {
  const { redisPubSub } = await import("@lanai/pubsub-redis");
  const { redisClient } = await import("./redis-client.js");
  return lanai(server, redisPubSub(redisClient({})));
};

const socketIo = async (server) => {
  const { Server } = await import("socket.io");
  const io = new Server(server, {
    transports: ["websocket"],
    pingInterval: 600_000,
    // What it needs to miss nothing: as the stream of the other.
    connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
  });
  io.on("connection", (socket) => socket.join("news"));
  return (item) => io.to("news").emit("item", item);
};

const ws = async (server) => {
  const { WebSocketServer } = await import("ws");
  const sockets = new WebSocketServer({ server });
  return (item) => {
    const text = JSON.stringify({ item });
    for (const socket of sockets.clients) socket.send(text);
  };
};

const server = createServer({ keepAliveTimeout: 600_000 });
const publish = await {
  lanai,
  "lanai-session": lanaiSession,
  "lanai-redis": lanaiOnRedis,
  "socket.io": socketIo,
  ws,
}[name](server);

const memory = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await wait(50);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
};

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

process.on("message", async ({ word, item, answers }) => {
  if (word === "memory") process.send(await memory());
  if (word === "cpu") process.send(cpu());
  if (word === "publish") await publish(item);
  if (answers) process.send({});
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => {
  process.send({ port: server.address().port });
});
