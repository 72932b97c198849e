import { createServer, type Server } from "node:http";
import { channel, createChannels, type } from "@lanai/channels";
import { type Clients, createClients, type Listener } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { createSessions, type Sessions, type Store } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";
import type { LinkedBus } from "./bus.ts";

export { linkedBus } from "./bus.ts";

/** What the app of every process decides by, and tells the oracle. */
export interface Desk {
  /** Who may be in the room. */
  mayJoin(user: string | undefined): boolean;
  handled(text: string, listener: string): void;
  /** @param socket - The socket of the request that the listener has come with. */
  attached(listener: Listener, socket: unknown): void;
  empty(event: { readonly user?: string; readonly client?: string; readonly id: string }): void;
  failed(error: unknown): void;
}

const declare = (clients: Clients, pubsub: ReturnType<typeof createPubSub>, desk: Desk) =>
  createChannels({
    ...{ clients, pubsub },
    channels: {
      "room.:id": channel({
        join: ({ session }) => desk.mayJoin(session.userId),
        events: {
          said: { schema: type<{ text: string }>() },
          typing: { schema: type<{ text: string }>(), ephemeral: true },
        },
        calls: {
          say: {
            input: type<{ text: string }>(),
            handle: async ({ text }, { publish, session }) => {
              desk.handled(text, session.listener);
              await publish("said", { text });
              return { text, by: session.userId };
            },
          },
        },
        presence: ({ session }) => ({ name: session.userId }),
      }),
    },
  });

export type Live = ReturnType<typeof declare>;

export interface App {
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly channels: Live;
  readonly server: Server;
}

/** One process of the app: Koa behind Node's HTTP server, on a store and a bus that are elsewhere. */
export function startApp(
  store: Store,
  backend: LinkedBus,
  keys: readonly string[] | undefined,
  desk: Desk,
): App {
  const pubsub = createPubSub({ backend });
  pubsub.onError(desk.failed);
  const sessions = createSessions({ store, storeTimeout: 2_000 });
  const clients = createClients({
    ...{ sessions, pubsub, ...(keys && { keys }) },
  });
  clients.on("empty", (event) => desk.empty(event as Parameters<Desk["empty"]>[0]));
  const watched: Clients = Object.assign(Object.create(clients), {
    async attach(...args: Parameters<Clients["attach"]>) {
      const listener = await clients.attach(...args);
      if (listener.endReason === undefined) desk.attached(listener, args[0].req.socket);
      return listener;
    },
  });
  const channels = declare(watched, pubsub, desk);
  const app = new Koa();
  app.silent = true;
  app.on("error", (error) => {
    if (typeof error.status !== "number") desk.failed(error);
  });
  app.use(sessions.middleware());
  app.use(clients.middleware());
  const live = channels.middleware();
  app.use(async (ctx) => {
    if (ctx.path === "/live") return live(ctx);
    if (ctx.path === "/sign-in") ctx.session.login(String(ctx.query.user));
    if (ctx.path === "/sign-out") await ctx.session.destroy();
    ctx.body = "done";
  });
  const callback = app.callback();
  const server = createServer((request, response) => void callback(request, response));
  attachUpgrade(server, app);
  return { sessions, clients, channels, server };
}
