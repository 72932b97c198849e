import type { AddressInfo } from "node:net";
import { createSessions, requireSession } from "@lanai/session";
import { type JwtKey, jwtTracker } from "@lanai/session-jwt";
import { sqliteStore } from "@lanai/session-sqlite";
import Koa from "koa";
import { ISSUER } from "./tokens.ts";

/** One process of an app whose keys come from outside: each message is a new set of them. */
let keys: readonly JwtKey[] = [];
let listening: Promise<number> | undefined;

process.on("message", (message: readonly JwtKey[]) => {
  keys = message;
  listening ??= listen();
  void listening.then((port) => process.send?.(port));
});

async function listen(): Promise<number> {
  const sessions = createSessions({
    store: sqliteStore(process.argv[2] ?? ""),
    tracker: jwtTracker({ keys: () => keys, issuer: ISSUER, expiresIn: 1_000 }),
  });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(async (ctx, next) => {
    if (ctx.path === "/sign-in") ctx.session.login("ada");
    else await requireSession({ user: true })(ctx, async () => {});
    await next();
  });
  app.use(async (ctx) => {
    ctx.body = await ctx.session.update("visits", (visits) => Number(visits ?? 0) + 1);
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return (server.address() as AddressInfo).port;
}
