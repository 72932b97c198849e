import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { type Clients, createClients, type Listener } from "@lanai/clients";
import type { PubSub } from "@lanai/pubsub";
import { createSessions, memoryStore, type Sessions, type Store } from "@lanai/session";
import {
  type BoundSessions,
  type BoundSessionsOptions,
  boundSessions,
  requireBound,
} from "@lanai/session-bound";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import Koa, { type Context, type Middleware } from "koa";

export interface SiteOptions extends Omit<BoundSessionsOptions, "sessions" | "clients"> {
  readonly store?: Store;
  readonly App?: typeof Koa;
  /** Serves HTTPS with it. */
  readonly certificate?: { readonly key: string; readonly cert: string };
  readonly port?: number;
  readonly pubsub?: PubSub;
  /** Runs before everything else. */
  readonly before?: Middleware;
  /** Serves paths that the site doesn't know. */
  readonly route?: (ctx: Context, site: Site) => unknown;
}

/** One process of an app with device-bound sessions. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  readonly app: Koa;
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly bound: BoundSessions<Clients>;
  /** Those that `/tab` and `/fixed-tab` attached. */
  readonly listeners: Listener[];
  /** Errors of the app that no client saw. */
  readonly errors: unknown[];
}

const strict = requireBound();

export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const {
    store = memoryStore(),
    App = Koa,
    certificate,
    port: at = 0,
    pubsub,
    before,
    route,
    ...rest
  } = options;
  const sessions = createSessions({ store });
  const clients = createClients({ sessions, ...(pubsub && { pubsub }), leaveGrace: 0 });
  const bound = boundSessions({ ...rest, sessions, clients });
  const listeners: Listener[] = [];
  const errors: unknown[] = [];
  const app = new App();
  app.on("error", (error) => error.expose || errors.push(error));
  if (before) app.use(before);
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(bound);
  app.use(sse({ heartbeat: Infinity }));
  app.use(async (ctx) => {
    const { path, query } = ctx;
    if (path === "/sign-in") {
      ctx.session.login(String(query.user ?? "ada"));
      ctx.body = "signed in";
    } else if (path === "/sign-out") {
      await ctx.session.destroy();
      ctx.body = "signed out";
    } else if (path === "/renew") {
      ctx.session.renewId();
      ctx.body = "renewed";
    } else if (path === "/re-authenticate") {
      await route?.(ctx, site);
      ctx.session.reauthenticate({ methods: ["otp"] });
      ctx.body = "re-authenticated";
    } else if (path === "/me" || path.startsWith("/open/")) {
      ctx.body = { user: ctx.session.userId ?? null, device: bound.deviceOf(ctx) ?? null };
    } else if (path === "/strict") {
      await strict(ctx, async () => {
        ctx.body = "bound";
      });
    } else if (path === "/socket") {
      const socket = await ctx.upgrade();
      socket.send("open");
    } else if (path === "/events") {
      const stream = await ctx.sse();
      stream.send({ data: "open" });
    } else if (path === "/tab") {
      listeners.push(await bound.clients.attach(ctx));
    } else if (path === "/fixed-tab") {
      listeners.push(await clients.attach(ctx));
    } else {
      await route?.(ctx, site);
    }
  });
  const callback = app.callback();
  const handle: RequestListener = (request, response) => void callback(request, response);
  const server = certificate ? createSecureServer(certificate, handle) : createServer(handle);
  server.listen(at, "127.0.0.1");
  await once(server, "listening");
  const upgrades = attachUpgrade(server, app);
  const { port } = (server as Server).address() as AddressInfo;
  const host = certificate ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  const site: Site = {
    url: host,
    ...{ app, sessions, clients, bound, listeners, errors },
    async [Symbol.asyncDispose]() {
      await clients.close();
      for (const socket of upgrades.sockets) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return site;
}
