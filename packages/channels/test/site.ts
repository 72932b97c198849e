import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type Clients, createClients } from "@lanai/clients";
import type { Streams } from "@lanai/pubsub";
import { type Bus, createPubSub, type PubSub } from "@lanai/pubsub";
import { createSessions, memoryStore, type Store } from "@lanai/session";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";
import {
  type ChannelsOptions,
  channel,
  createChannels,
  type Declared,
  type,
} from "../src/index.ts";

export type Backend = PubSub & Streams;

/** What the site's channels decide by, and what they have done. */
export interface Desk {
  /** Who may be in a room. */
  allow: (user: string | undefined, room: string) => boolean | Promise<boolean>;
  /** The texts that were said. */
  readonly handled: string[];
}

export const newDesk = (): Desk => ({ allow: () => true, handled: [] });

const declare = (
  clients: Clients,
  pubsub: Bus,
  desk: Desk,
  { channels: options = {}, maxReplay }: SiteOptions,
) =>
  createChannels({
    ...{ clients, pubsub, nodeInterval: 1_000 },
    ...options,
    channels: {
      "room.:id": channel({
        join: ({ session, params }) => desk.allow(session.userId, params.id),
        events: {
          said: { schema: type<{ text: string }>() },
          typing: { schema: type<{ by: string }>(), ephemeral: true },
        },
        calls: {
          say: {
            input: type<{ text: string }>(),
            handle: async ({ text }, { publish, session }) => {
              desk.handled.push(text);
              await publish("said", { text });
              return { length: text.length, by: session.userId };
            },
          },
          fail: {
            input: type<{ expose: boolean }>(),
            handle: ({ expose }): number => {
              throw Object.assign(new Error("no"), { code: "ERR_NO", expose });
            },
          },
        },
        presence: ({ session }) => ({ name: session.userId ?? "guest" }),
        ...(maxReplay !== undefined && { maxReplay }),
      }),
    },
  });

export type Live = ReturnType<typeof declare>;

export interface SiteOptions {
  readonly store?: Store;
  readonly desk?: Desk;
  /** Keys of the clients, which authenticate the notes of the channels too. */
  readonly keys?: readonly string[];
  readonly port?: number;
  /** Whether a body parser of the app reads the body of each post as a text. */
  readonly readsBodies?: boolean;
  /** The script of a page at `/page`. */
  readonly script?: string;
  readonly channels?: Partial<ChannelsOptions<Declared>>;
  /** The most retained messages that a first join of a room receives. */
  readonly maxReplay?: number;
}

/** One process's worth of an app on a free port. */
export async function startSite(backend: Backend, options: SiteOptions = {}) {
  const { store = memoryStore(), desk = newDesk(), port: at = 0 } = options;
  const bus = createPubSub({ backend });
  const sessions = createSessions({ store });
  const clients = createClients({
    ...{ sessions, pubsub: bus },
    ...(options.keys && { keys: options.keys }),
  });
  const channels = declare(clients, bus, desk, options);
  const errors: unknown[] = [];
  const app = new Koa({ proxy: true });
  app.on("error", (error) => errors.push(error));
  if (options.readsBodies) {
    app.use(async (ctx, next) => {
      if (ctx.method === "POST") Object.assign(ctx.request, { body: await text(ctx.req) });
      await next();
    });
  }
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(sse());
  const live = channels.middleware();
  app.use(async (ctx) => {
    if (ctx.path === "/live") return live(ctx);
    if (ctx.path === "/page") {
      ctx.type = "html";
      ctx.body = `<!doctype html><script type="module">${options.script}</script>`;
      return;
    }
    if (ctx.path === "/sign-in") ctx.session.login(String(ctx.query.user));
    if (ctx.path === "/sign-out") await ctx.session.destroy();
    if (ctx.path === "/renew") ctx.session.renewId();
    ctx.body = "done";
  });
  const server = app.listen(at, "127.0.0.1");
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  const upgrades = attachUpgrade(server, app);
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ port, url, bus, channels, clients, sessions, errors, desk, server },
    /** Visits a path, and returns the cookies that a browser has afterwards. */
    async visit(path: string, cookie = ""): Promise<string> {
      const response = await fetch(url + path, { headers: cookie ? { cookie } : {} });
      const jar = new Map(cookie.split("; ").map((it) => [it.split("=")[0], it]));
      for (const it of response.headers.getSetCookie()) {
        const [pair = ""] = it.split(";");
        jar.set(pair.split("=")[0], pair);
      }
      return [...jar.values()].filter((it) => it !== "").join("; ");
    },
    async [Symbol.asyncDispose]() {
      await clients.close();
      await channels.close();
      for (const socket of upgrades.sockets) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Site = Awaited<ReturnType<typeof startSite>>;
