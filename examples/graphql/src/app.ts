import type { Server } from "node:http";
import Router from "@koa/router";
import { type Clients, createClients, graphqlWs } from "@lanai/clients";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, type Sessions, type Store } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import { attachUpgrade } from "@lanai/websocket";
import { graphql } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import Koa from "koa";
import { WebSocketServer } from "ws";
import { readJson } from "./json.ts";
import { rootsOf, schema } from "./schema.ts";

declare module "@lanai/session" {
  interface SessionData {
    since: Date;
  }
}

export interface Site {
  readonly app: Koa;
  readonly sessions: Sessions;
  readonly clients: Clients;
  /** Lets the server's WebSockets run the app. */
  attach(server: Server): void;
}

/** The article's app: a tab has a session by token, a browser is known by its cookie. */
export function graphqlSite(options: { readonly secret: string; readonly store?: Store }): Site {
  const { secret, store } = options;
  const sessions: Sessions = createSessions({
    ...(store && { store }),
    // A token that was stolen from a tab is worth nothing without the browser's cookie.
    tracker: jwtTracker({ secret, issuer: "graphql", client: (ctx) => clients.idOf(ctx) }),
  });
  const clients: Clients = createClients({ sessions, tokenHeader: "Session-ID" });
  const roots = rootsOf(clients);
  const live = graphqlWs(clients);
  const server = new WebSocketServer({ noServer: true });
  useServer({ schema, roots, ...live.hooks }, server);

  const router = new Router();
  router.get("/", (ctx) => {
    ctx.body = "POST to /graphql, and subscribe there by graphql-transport-ws.\n";
  });
  router.get("/graphql", (ctx) => live.attach(ctx, server).then(() => {}));
  router.post("/graphql", async (ctx) => {
    const { query: source = "", variables: variableValues } = await readJson(ctx);
    const rootValue = { ...roots.query, ...roots.mutation };
    ctx.body = await graphql({ schema, source, rootValue, variableValues, contextValue: { ctx } });
  });

  const app = new Koa();
  app.use(sameOrigin());
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(router.routes());
  return { app, sessions, clients, attach: (it) => void attachUpgrade(it, app) };
}
