import { once } from "node:events";
import { channel, createChannels, type } from "@lanai/channels";
import { createClients } from "@lanai/clients";
import { flash } from "@lanai/flash";
import { createPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { createSessions } from "@lanai/session";
import { postgresStore } from "@lanai/session-postgres";
import { redisStore } from "@lanai/session-redis";
import { attachUpgrade } from "@lanai/websocket";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import Koa, { type Context } from "koa";
import { Pool } from "pg";

/** One process of an app of the soak: it is killed and started again. */
export interface AppOptions {
  readonly port: number;
  readonly store: "redis" | "postgres";
  readonly bus: "redis" | "nats";
  /** The ports by which the servers are reached. */
  readonly servers: { readonly redis: number; readonly nats: number; readonly postgres: number };
  readonly database: { readonly user: string; readonly database: string };
}

/** In milliseconds. A tab of an ended session whose notice was lost ends within it (C3). */
const REVALIDATE = 20_000;
/** What the people of a room say: the number of each of their messages. */
const SAID = type<{ by: string; n: number }>();

const {
  port,
  store,
  bus: kind,
  servers,
  database,
} = JSON.parse(process.argv[2] ?? "{}") as AppOptions;

const redis = () => new Redis(servers.redis, { retryStrategy: () => 50 }).on("error", () => {});
const openStore = async () => {
  if (store === "redis") return redisStore(redis());
  const address = { host: "127.0.0.1", port: servers.postgres, ...database };
  const made = postgresStore(new Pool({ ...address, max: 10 }).on("error", () => {}));
  await insist(() => made.migrate());
  return made;
};
const openBus = async () => {
  if (kind === "redis") return redisPubSub(redis());
  const address = { servers: `127.0.0.1:${servers.nats}` };
  return natsPubSub(
    await connect({ ...address, maxReconnectAttempts: -1, reconnectTimeWait: 50, timeout: 2_000 }),
  );
};

/** Calls again until it succeeds: a server may be down while the app starts. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const sessions = createSessions({ store: await openStore() });
const bus = createPubSub({ backend: await insist(openBus) });
await insist(() => bus.ensureStream({ name: "soak", subjects: ["channels.>"], maxMsgs: 10_000 }));
const clients = createClients({ sessions, pubsub: bus, revalidateInterval: REVALIDATE });
const channels = createChannels({
  ...{ clients, pubsub: bus },
  channels: {
    "room.:id": channel({
      join: ({ session }) => session.userId !== undefined,
      events: { said: { schema: SAID } },
      calls: {
        say: {
          input: SAID,
          async handle(said, { params }) {
            await channels.publish("room.:id", { id: String(params.id) }, "said", said);
          },
        },
      },
    }),
  },
});
export type Soak = typeof channels;

const ROUTES: Record<string, (ctx: Context, text: string) => unknown> = {
  "/sign-in": (ctx, user) => ctx.session.login(user),
  "/sign-out": (ctx) => ctx.session.destroy(),
  "/sign-out-everywhere": (_, user) => sessions.destroyAll({ user }),
  "/renew": (ctx) => ctx.session.renewId(),
  "/set": (ctx, key) => ctx.session.set(key, 1),
  "/update": (ctx, text) =>
    ctx.session.update("log", (log: unknown) => [...((log as string[]) ?? []), text]),
  "/leave": (ctx, message) => ctx.flash(message),
  "/pop": async (ctx) => (await ctx.flash.pop()).map(({ message }) => message),
  "/look": (ctx) => ({ user: ctx.session.userId, ...ctx.session.toJSON() }),
};

const app = new Koa();
app.on("error", (error: { status?: unknown }) => {
  // A 503 is expected here. Anything else is a fault, which the soak reports.
  if (error.status === undefined) process.send?.(String(error));
});
app.use(sessions.middleware());
app.use(flash());
app.use(clients.middleware());
const live = channels.middleware();
app.use(async (ctx) => {
  if (ctx.path === "/live") return live(ctx);
  const found = await ROUTES[ctx.path]?.(ctx, String(ctx.query.text));
  ctx.body = Array.isArray(found) || ctx.path === "/look" ? found : { done: true };
});
const server = app.listen(port, "127.0.0.1");
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
