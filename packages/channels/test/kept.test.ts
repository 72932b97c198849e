import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { createClients } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { createSessions, memoryStore } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import Koa, { type Context } from "koa";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { expectCollected } from "../../../scripts/testing/collected.ts";
import { channel, createChannels, type } from "../src/index.ts";

/** A server with each kind of live connection, which remembers the contexts of its requests weakly. */
async function start() {
  const sessions = createSessions({ store: memoryStore() });
  const bus = createPubSub();
  const clients = createClients({ sessions, pubsub: bus });
  const channels = createChannels({
    ...{ clients, pubsub: bus, anonymous: true },
    channels: { news: channel({ join: () => true, events: { item: { schema: type<number>() } } }) },
  });
  const live = channels.middleware();
  const contexts = new Map<string, WeakRef<object>[]>();
  const app = new Koa();
  const errors: object[] = [];
  app.on("error", (error, ctx: Context) => {
    const { path, query, ip, headerSent } = ctx;
    errors.push({ error, path, query, ip, headerSent, header: ctx.get("X-Test") });
  });
  app.use((ctx, next) => {
    const refs = [ctx, ctx.req, ctx.res].map((it) => new WeakRef<object>(it));
    contexts.set(ctx.path, refs);
    return next();
  });
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(async (ctx) => {
    if (ctx.path === "/sign-in") ctx.session.login("ada");
    if (ctx.path === "/sign-in") ctx.body = "in";
    if (ctx.path === "/channels") await live(ctx);
    if (ctx.path === "/clients") (await clients.attach(ctx)).on("fail", fail);
    if (ctx.path === "/upgrade") (await ctx.upgrade()).on("message", fail);
    // As an app's own timer would keep what is begun in a request.
    if (ctx.path === "/upgrade") setTimeout(() => {}, 600_000).unref();
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const upgrades = attachUpgrade(server, app);
  const { port } = server.address() as { port: number };
  const response = await fetch(`http://127.0.0.1:${port}/sign-in`);
  const cookie = response.headers
    .getSetCookie()
    .map((it) => it.split(";")[0])
    .join("; ");
  return {
    contexts,
    errors,
    async open(path: string, protocols: string[] = []) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, {
        headers: { cookie, "X-Test": "kept" },
      });
      await once(socket, "open");
      return socket;
    },
    async [Symbol.asyncDispose]() {
      await clients.close();
      await channels.close();
      for (const socket of upgrades.sockets) socket.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}

const failure = new Error("the handler failed");
const fail = (): never => {
  throw failure;
};

test.each([
  ["ctx.upgrade()", "/upgrade", undefined],
  ["clients.attach(ctx)", "/clients", undefined],
  ["channels", "/channels", "lanai.channels.2"],
])(
  "a WebSocket of a signed-in user keeps no context, request or response of its handshake: %s",
  async (_name, path, protocol) => {
    await using site = await start();
    const socket = await site.open(path, protocol ? [protocol] : []);
    if (protocol) {
      socket.send(JSON.stringify({ t: "join", p: "news", a: {} }));
      for (let text = ""; !text.includes("joined"); )
        [text] = (await once(socket, "message")).map(String) as [string];
    }
    await wait(10);
    for (const ref of site.contexts.get(path) ?? []) await expectCollected(ref);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.terminate();
  },
);

test.each([
  ["ctx.upgrade()", "/upgrade"],
  ["clients.attach(ctx)", "/clients"],
])(
  "an error of a listener that comes later still has the URL, the headers and the address of the handshake: %s",
  async (_name, path) => {
    await using site = await start();
    const socket = await site.open(`${path}?a=1`);
    for (const ref of site.contexts.get(path) ?? []) await expectCollected(ref);
    socket.send('{"event":"fail"}');
    await expect.poll(() => site.errors.length).toBe(1);
    const ip = expect.stringContaining("127.0.0.1");
    const request = { path, query: { a: "1" }, ip, header: "kept" };
    expect(site.errors).toEqual([{ error: failure, headerSent: true, ...request }]);
    socket.terminate();
  },
);
