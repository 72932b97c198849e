import { once } from "node:events";
import { createClients } from "@lanai/clients";
import { createPubSub, memoryPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { createSessions } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import Koa from "koa";
import { declareStorm } from "./app.ts";

/** One process of an app, for the storm: it is killed and started again. */
export interface ProcessOptions {
  readonly bus: "memory" | "redis" | "nats";
  readonly broker: number;
  readonly port: number;
  readonly folder: string;
  /** The page and its script. */
  readonly script: string;
}

const options = JSON.parse(process.argv[2] ?? "{}") as ProcessOptions;
const { bus: kind, broker, port, folder, script } = options;

const openBackend = async () => {
  if (kind === "memory") return memoryPubSub();
  if (kind === "redis") {
    const redis = new Redis(broker, { retryStrategy: () => 30 });
    return redisPubSub(
      redis.on("error", () => {}),
      { timeout: 10_000 },
    );
  }
  const servers = `127.0.0.1:${broker}`;
  return natsPubSub(
    await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50, timeout: 5_000 }),
    { timeout: 10_000 },
  );
};

const bus = createPubSub({ backend: await openBackend() });
const sessions = createSessions({ store: sqliteStore(`${folder}/sessions.sqlite`) });
const clients = createClients({ sessions, pubsub: bus });
const channels = declareStorm(clients, bus, `${folder}/handled`);
await bus.ensureStream({ name: "storm", subjects: ["channels.>"], maxMsgs: 2_000 });

const app = new Koa();
app.on("error", () => {});
app.use(sessions.middleware());
app.use(clients.middleware());
app.use(sse());
const live = channels.middleware();
app.use(async (ctx) => {
  ctx.set("Cache-Control", "no-cache");
  if (ctx.path === "/live") return live(ctx);
  if (ctx.path === "/sign-in") ctx.session.login("ada");
  else if (ctx.path === "/renew") ctx.session.renewId();
  else if (ctx.path === "/sign-out") await ctx.session.destroy();
  else if (ctx.path === "/say") {
    await channels.publish("room.:id", { id: "storm" }, "said", Number(ctx.query.n));
  }
  if (ctx.path === "/page") {
    ctx.type = "html";
    ctx.body = `<!doctype html><title>storm</title><script type="module">${script}</script>`;
  } else ctx.body = "done";
});
const server = app.listen(port, "127.0.0.1");
server.keepAliveTimeout = 0;
await once(server, "listening");
attachUpgrade(server, app, { closeTimeout: 300 });
process.send?.("ready");
process.once("disconnect", () => process.exit());
const stop = async (): Promise<void> => {
  await clients.close();
  await channels.close();
  process.exit();
};
process.once("SIGTERM", () => void stop());
