import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect as connectPage, type Host } from "@lanai/browser";
import { fallback } from "@lanai/browser/fallback";
import { channel, createChannels, type as typed } from "@lanai/channels";
import { createClients } from "@lanai/clients";
import { beforeHead, connectionSignal } from "@lanai/connection";
import { flash } from "@lanai/flash";
import { createPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { createSessions, type IndexedStore, memoryStore, type Store } from "@lanai/session";
import { fromExpressStore } from "@lanai/session-compat";
import { jwtTracker } from "@lanai/session-jwt";
import { postgresStore } from "@lanai/session-postgres";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import { connect } from "@nats-io/transport-node";
import { MemoryStore } from "express-session";
import { Redis } from "ioredis";
import Koa, { type Context, type Middleware } from "koa";
import { Pool } from "pg";
import { WebSocket } from "ws";
import { bound } from "./bound.ts";
import type { Test } from "./report.ts";
import type { Servers } from "./servers.ts";

const packagesFolder = join(import.meta.dirname, "../../packages");

/** Every module that a package exports, by the name that its users import. */
const modules = (): string[] =>
  readdirSync(packagesFolder).flatMap((folder) => {
    const text = readFileSync(join(packagesFolder, folder, "package.json"), "utf8");
    const { name, exports } = JSON.parse(text) as { name: string; exports: object };
    return Object.keys(exports)
      .filter((path) => path !== "./package.json")
      .map((path) => name + path.slice(1));
  });

interface Site {
  readonly url: string;
}

/** Serves an app for as long as it is used. */
const serving = async (
  app: Koa,
  use: (site: Site) => Promise<void>,
  attach?: (server: Server) => unknown,
): Promise<void> => {
  app.silent = true;
  const server = app.listen(0, "127.0.0.1");
  attach?.(server);
  await once(server, "listening");
  try {
    await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  } finally {
    server.close();
    server.closeAllConnections();
  }
};

/** A browser's cookies, and its requests. */
class Visitor {
  readonly #cookies = new Map<string, string>();
  readonly #url: string;

  constructor({ url }: Site) {
    this.#url = url;
  }

  get headers(): Record<string, string> {
    const cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
    return cookie ? { cookie } : {};
  }

  async get(path: string): Promise<Response> {
    const response = await fetch(this.#url + path, { headers: this.headers, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [name = "", value = ""] = (line.split(";")[0] ?? "").split("=");
      this.#cookies.set(name, value);
    }
    return response;
  }

  /** A WebSocket, and what it hears. */
  open(path: string): { readonly socket: WebSocket; readonly next: () => Promise<string> } {
    const socket = new WebSocket(this.#url.replace("http", "ws") + path, { headers: this.headers });
    const heard: string[] = [];
    const waiting: ((text: string) => void)[] = [];
    const hear = (text: string) => {
      const taker = waiting.shift();
      if (taker) taker(text);
      else heard.push(text);
    };
    socket.on("message", (data) => hear(String(data)));
    socket.on("close", (code) => hear(`closed ${code}`));
    socket.on("unexpected-response", (_request, response) =>
      hear(`refused ${response.statusCode}`),
    );
    socket.on("error", () => {});
    const next = async () => heard.shift() ?? new Promise<string>((take) => waiting.push(take));
    return { socket, next };
  }
}

/** A sign-in, a redirect, a flash message, an error that keeps what was set, and a sign-out. */
const signInAndOut = async (store: Store | IndexedStore): Promise<void> => {
  const sessions = createSessions({ store });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(flash());
  const routes: Record<string, Middleware> = {
    "/sign-in"(ctx) {
      ctx.session.login("ada");
      ctx.flash.success("Welcome");
      ctx.redirect("/");
    },
    "/fails"(ctx) {
      ctx.session.set("kept", new Date(1));
      ctx.throw(403);
    },
    async "/sign-out"(ctx) {
      await ctx.session.destroy();
      ctx.status = 204;
    },
    async "/"(ctx) {
      const { userId } = ctx.session;
      const kept = ctx.session.getDate("kept").getTime() === 1;
      ctx.body = { user: userId ?? null, kept, messages: await ctx.flash.pop() };
    },
  };
  app.use((ctx, next) => routes[ctx.path]?.(ctx as never, next));
  await serving(app, async (site) => {
    const ada = new Visitor(site);
    assert.equal((await ada.get("/sign-in")).status, 302);
    assert.deepEqual(await (await ada.get("/")).json(), {
      user: "ada",
      kept: false,
      messages: [{ level: "success", message: "Welcome" }],
    });
    assert.equal((await ada.get("/fails")).status, 403);
    assert.deepEqual(await (await ada.get("/")).json(), { user: "ada", kept: true, messages: [] });
    const stolen = ada.headers;
    assert.equal((await ada.get("/sign-out")).status, 204);
    const after = await fetch(site.url, { headers: stolen });
    assert.equal(((await after.json()) as { user: unknown }).user, null);
  });
};

const messages = async (bus: ReturnType<typeof createPubSub>): Promise<void> => {
  // The broker outlives this process.
  const name = `kept${process.pid}`;
  await bus.ensureStream({ name, subjects: [`${name}.>`], maxMsgs: 10 });
  await bus.publish(`${name}.a`, { n: 1 });
  const heard: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await bus.subscribe<{ n: number }>(
    `${name}.*`,
    ({ n }, { replayed }) => {
      heard.push([n, replayed]);
      if (n === 2) resolve();
    },
    { replay: 5 },
  );
  await bus.publish(`${name}.a`, { n: 2 });
  await promise;
  assert.deepEqual(heard, [
    [1, true],
    [2, false],
  ]);
  await bus.close();
};

const stores = (test: Test, { redis, postgres }: Servers): void => {
  test("a session in memory, with @lanai/session and @lanai/flash", () =>
    signInAndOut(memoryStore()));
  test("a session in SQLite", () => signInAndOut(sqliteStore(":memory:")));
  test("a session in a store of express-session", () =>
    signInAndOut(fromExpressStore(new MemoryStore())));
  test("a session in Redis", async () => {
    const client = new Redis(redis);
    await signInAndOut(redisStore(client));
    client.disconnect();
  });
  test("a session in PostgreSQL", async () => {
    const pool = new Pool(postgres);
    const store = postgresStore(pool);
    await store.migrate();
    await signInAndOut(store);
    store.close();
    await pool.end();
  });
  test("a session by a JWT", async () => {
    const sessions = createSessions({
      tracker: jwtTracker({ secret: "of at least 32 bytes, for these tests", issuer: "tests" }),
    });
    const app = new Koa();
    app.use(sessions.middleware());
    app.use((ctx) => {
      if (ctx.path === "/in") ctx.session.login("ada");
      ctx.body = ctx.session.userId ?? "nobody";
    });
    await serving(app, async ({ url }) => {
      const token = (await fetch(`${url}/in`)).headers.get("session-id") ?? "";
      const response = await fetch(url, { headers: { "session-id": token } });
      assert.equal(await response.text(), "ada");
    });
  });
};

const buses = (test: Test, servers: Servers): void => {
  test("messages in this process", () => messages(createPubSub()));
  test("messages by Redis", async () => {
    const client = new Redis(servers.redis);
    await messages(createPubSub({ backend: redisPubSub(client, { prefix: `${process.pid}:` }) }));
    client.disconnect();
  });
  test("messages by NATS", async () => {
    const connection = await connect({ servers: `127.0.0.1:${servers.nats}` });
    await messages(createPubSub({ backend: natsPubSub(connection) }));
    await connection.close();
  });
};

const liveApp = (bus: ReturnType<typeof createPubSub>) => {
  const sessions = createSessions();
  const clients = createClients({ sessions, pubsub: bus });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(bus.middleware());
  app.use(clients.middleware());
  app.use(sse());
  const routes: Record<string, (ctx: Context) => unknown> = {
    "/sign-in"(ctx) {
      ctx.session.login("ada");
      ctx.body = "in";
    },
    async "/sign-out"(ctx) {
      await ctx.session.destroy();
      ctx.body = "out";
    },
    async "/echo"(ctx) {
      ctx.session.set("socket", true);
      const socket = await ctx.upgrade();
      socket.on("message", (text) => socket.send(`echo ${text}`));
    },
    "/refused": (ctx) => ctx.throw(401),
    async "/tab"(ctx) {
      const listener = await clients.attach(ctx);
      listener.send("hello", ctx.session.userId);
    },
    async "/events"(ctx) {
      await ctx.sse(ctx.pubsub.events("news"));
    },
    async "/publish"(ctx) {
      await ctx.pubsub.publish("news", "aloha");
      ctx.body = "published";
    },
  };
  app.use((ctx) => routes[ctx.path]?.(ctx));
  return { app, clients };
};

/** What a visitor sees who signs in, opens connections of each kind, and signs out. */
const visit = async (site: Site): Promise<void> => {
  const ada = new Visitor(site);
  await ada.get("/sign-in");

  const echo = ada.open("/echo");
  await once(echo.socket, "open");
  echo.socket.send("hi");
  assert.equal(await echo.next(), "echo hi");
  echo.socket.close();
  assert.match(await echo.next(), /^closed/);
  assert.equal(await ada.open("/refused").next(), "refused 401");

  const leaves = new AbortController();
  const { signal } = leaves;
  const events = await fetch(`${site.url}/events`, { headers: ada.headers, signal });
  const reader = events.body?.getReader();
  await ada.get("/publish");
  let text = "";
  while (!text.includes("aloha")) text += new TextDecoder().decode((await reader?.read())?.value);
  leaves.abort();

  const tab = ada.open("/tab");
  assert.deepEqual(JSON.parse(await tab.next()), { event: "hello", data: "ada" });
  await ada.get("/sign-out");
  let last = await tab.next();
  while (!last.startsWith("closed")) last = await tab.next();
  assert.equal(last, "closed 4401");
};

/** A page on this runtime, with its own WebSocket and fetch. */
const pageComesBack = async (isBlocked: boolean): Promise<void> => {
  const bus = createPubSub();
  const sessions = createSessions();
  const clients = createClients({ sessions, pubsub: bus });
  const channels = createChannels({
    ...{ clients, pubsub: bus, anonymous: true },
    channels: {
      "room.:id": channel({
        join: () => true,
        events: { said: { schema: typed<string>() } },
        calls: {
          say: {
            input: typed<string>(),
            handle: async (text, { publish }) => {
              await publish("said", text);
              return text.length;
            },
          },
        },
      }),
    },
  });
  await bus.ensureStream({ name: "rooms", subjects: ["channels.>"] });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(sse());
  app.use(channels.middleware());
  class Blocked {
    onclose: ((event: { code: number }) => void) | null = null;
    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006 }));
    }
    send() {}
    close() {}
  }
  const globals = globalThis as unknown as Host;
  const host = {
    ...{ URL, AbortController, TextDecoder, crypto, performance, console, fetch },
    setTimeout: (fn: () => void, ms: number) => setTimeout(fn, ms),
    clearTimeout: (it: never) => clearTimeout(it),
    WebSocket: isBlocked ? Blocked : globals.WebSocket,
    random: () => 0.01,
  } as unknown as Host;
  const sockets = new Set<{ destroy(): void }>();
  const attach = (server: Server) => {
    server.on("connection", (socket) => sockets.add(socket));
    return attachUpgrade(server, app);
  };
  await serving(
    app,
    async ({ url }) => {
      const line = connectPage<typeof channels>(`${url}/live`, { host, fallback });
      const room = line.join("room.:id", { id: "a" });
      const said: string[] = [];
      const third = Promise.withResolvers<void>();
      room.on("said", (text) => said.push(text) === 3 && third.resolve());
      assert.equal(await room.call("say", "one"), 3);
      for (const socket of sockets) socket.destroy();
      await channels.publish("room.:id", { id: "a" }, "said", "two");
      await room.call("say", "three");
      await third.promise;
      assert.deepEqual(said, ["one", "two", "three"]);
      line.close();
    },
    attach,
  );
  await clients.close();
  await channels.close();
  await bus.close();
};

const live = (test: Test): void => {
  test("WebSockets, an event stream, and a sign-out that reaches the tab", async () => {
    const bus = createPubSub();
    const { app, clients } = liveApp(bus);
    await serving(app, visit, (server) => attachUpgrade(server, app));
    await clients.close();
    await bus.close();
  });

  for (const isBlocked of [false, true]) {
    const by = isBlocked ? "the fallback" : "a WebSocket";
    test(`a page of the runtime's own globals joins, calls and comes back, by ${by}`, async () => {
      await pageComesBack(isBlocked);
    });
  }

  test("what must happen before the head leaves, and the end of a connection", async () => {
    const app = new Koa();
    const ended = Promise.withResolvers<void>();
    app.use(async (ctx, next) => {
      const leave = beforeHead(ctx, () => ctx.set("x-left", "yes"));
      connectionSignal(ctx).addEventListener("abort", () => ended.resolve());
      await next();
      await leave();
      ctx.body = "ok";
    });
    await serving(app, async ({ url }) => {
      assert.equal((await fetch(url)).headers.get("x-left"), "yes");
      await ended.promise;
    });
  });
};

/** Every module is imported, and every package does what it is for. */
export const smokes = (test: Test, servers: Servers): void => {
  for (const module of modules()) {
    test(`${module} is imported`, async () => {
      assert.ok(Object.keys((await import(module)) as object).length > 0);
    });
  }
  stores(test, servers);
  bound(test);
  buses(test, servers);
  live(test);
};
