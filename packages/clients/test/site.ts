import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type AttachOptions, type Clients, createClients, type Listener } from "@lanai/clients";
import { createSessions, memoryStore, type Sessions, type Store } from "@lanai/session";
import { type Sse, sse } from "@lanai/sse";
import { type AttachUpgradeOptions, attachUpgrade } from "@lanai/websocket";
import Koa, { type Context } from "koa";
import type { ClientsOptions } from "../src/options.ts";

export interface SiteOptions extends Partial<ClientsOptions> {
  /** Default: Koa 3. */
  readonly App?: typeof Koa;
  readonly store?: Store;
  /** Default: one that is free. */
  readonly port?: number;
  readonly attach?: AttachOptions;
  readonly upgrade?: AttachUpgradeOptions;
  /** Called in the route of the live connection, when it is attached. */
  readonly live?: (listener: Listener, ctx: Context) => unknown;
  /** Answers paths that the site doesn't know. */
  readonly route?: (ctx: Context) => unknown;
}

/** A process's worth of an app: sessions, clients and both transports, on a free port. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  readonly app: Koa;
  readonly server: Server;
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly sse: Sse;
  readonly listeners: Listener[];
  readonly errors: unknown[];
}

export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const {
    App = Koa,
    store = memoryStore(),
    attach = {},
    upgrade = {},
    live,
    route,
    port: at,
    ...rest
  } = options;
  const sessions = rest.sessions ?? createSessions({ store });
  // Unless a test asks for it, no look at the store comes to the help of what it tests.
  const clients = createClients({ revalidateInterval: 600_000, ...rest, sessions });
  const listeners: Listener[] = [];
  const errors: unknown[] = [];
  const app = new App();
  app.on("error", (error) => errors.push(error));
  app.use(sessions.middleware());
  app.use(clients.middleware());
  const streams = sse({ heartbeat: Infinity });
  app.use(streams);
  app.use(async (ctx) => {
    const { path, query } = ctx;
    if (path === "/live") {
      const listener = await clients.attach(ctx, attach);
      listeners.push(listener);
      await live?.(listener, ctx);
    } else if (path === "/sign-in") {
      ctx.session.login(String(query.user));
      ctx.body = "signed in";
    } else if (path === "/sign-out") {
      await ctx.session.destroy();
      ctx.body = "signed out";
    } else if (path === "/renew") {
      ctx.session.renewId();
      ctx.body = "renewed";
    } else if (path === "/me") {
      ctx.body = { user: ctx.session.userId ?? null, client: ctx.client?.id ?? null };
    } else if (path === "/set") {
      ctx.session.set("key", "value");
      ctx.body = "set";
    } else if (path === "/") {
      ctx.body = "hello";
    } else {
      await route?.(ctx);
    }
  });
  const server = app.listen(at ?? 0, "127.0.0.1");
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  const upgrades = attachUpgrade(server, app, upgrade);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    ...{ app, server, sessions, clients, sse: streams, listeners, errors },
    async [Symbol.asyncDispose]() {
      await clients.close();
      for (const socket of upgrades.sockets) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
