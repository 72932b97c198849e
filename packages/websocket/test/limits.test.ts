import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { UpgradedSocket, WebSocketEvent } from "@lanai/websocket";
import Koa from "koa";
import { describe, expect, test, vi } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { frame, handshake, RawClient } from "./raw-client.ts";
import { appOf, siteOf } from "./site.ts";

test.each([
  ["while the handler runs", 100],
  ["when the client has been paused meanwhile", 700],
])(
  "C6: what came before a listener is delivered at the pace of the handler, %s",
  async (_, size) => {
    const listening = Promise.withResolvers<void>();
    const heard: string[] = [];
    let isOver = false;
    const app = appOf(async (socket) => {
      await listening.promise;
      socket.on("message", (data) => {
        heard.push(String(data).trim());
        socket.pause();
      });
      while (!isOver && heard.length === 0) await nextTurn();
    });
    await using site = await siteOf(app, { maxPayload: 1_000, handshakeTimeout: 60_000 });
    const client = await site.connect();
    const [socket] = site.upgrades.sockets;
    const emit = vi.spyOn(socket as UpgradedSocket, "emit");
    const all = Array.from({ length: 5 }, (_, n) => `${n}`);
    for (const text of all) client.socket.send(text.padEnd(size));
    const held = size > 500 ? 2 : all.length;
    const come = () => emit.mock.calls.filter(([name]) => name === "message").length;
    await until(() => expect(come()).toBeGreaterThanOrEqual(held));
    expect(socket?.isPaused).toBe(held === 2);
    listening.resolve();
    for (let n = 0; n < all.length; n++) {
      await until(() => expect(heard.length).toBeGreaterThan(n));
      // What ws has already read comes although it is paused; what waited for a listener doesn't.
      for (let turn = 0; turn < 20; turn++) await nextTurn();
      if (n === 0) expect(heard).toEqual(["0"]);
      socket?.resume();
    }
    await until(() => expect(heard).toEqual(all));
    isOver = true;
  },
);

test("a socket that was paused and resumed before anyone listens hears that its client closes", async () => {
  const come = Promise.withResolvers<void>();
  const resumed = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<unknown>();
  const app = appOf(async (socket) => {
    await come.promise;
    socket.pause();
    // Whatever had been read already.
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    socket.resume();
    await nextTurn();
    resumed.resolve();
    const [code] = await once(socket, "close");
    closed.resolve(code);
  });
  await using site = await siteOf(app, { handshakeTimeout: 60_000 });
  const client = await site.connect();
  const [socket] = site.upgrades.sockets;
  const emit = vi.spyOn(socket as UpgradedSocket, "emit");
  client.socket.send("held");
  await until(() => expect(emit.mock.calls.map(([name]) => name)).toContain("message"));
  come.resolve();
  await resumed.promise;
  expect(socket?.isPaused).toBe(false);
  client.socket.close(1000);
  expect(await closed.promise).toBe(1000);
});

describe("a client whose messages nobody listens to", () => {
  test("is paused and then closed with 1013, whatever the ping interval", async () => {
    using held = reported<WebSocketEvent>("lanai:websocket:held-too-long");
    const app = appOf((socket) => once(socket, "close"));
    await using site = await siteOf(app, {
      maxPayload: 1_000,
      handshakeTimeout: 200,
      pingInterval: Infinity,
    });
    const client = await site.connect();
    for (let n = 0; n < 100; n++) client.socket.send(".".repeat(100));
    expect(await client.closed).toEqual({ code: 1013, reason: "not listened to" });
    expect(held.events).toHaveLength(1);
  });

  test("holds no more than maxPayload bytes, and what has been read", async () => {
    const app = appOf((socket) => once(socket, "close"));
    await using site = await siteOf(app, { maxPayload: 1_000, pingInterval: Infinity });
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.until("\r\n\r\n");
    const [socket] = site.upgrades.sockets;
    const message = frame(Buffer.alloc(900));
    let isBlocked = false;
    while (!isBlocked) {
      isBlocked = !client.socket.write(Buffer.concat(Array(1_000).fill(message)));
      await nextTurn();
    }
    await until(() => expect(socket?.isPaused).toBe(true));
  });

  test("is reported when the handler has returned", async () => {
    using unheard = reported<WebSocketEvent>("lanai:websocket:unheard");
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    for (let n = 0; n < 3; n++) client.socket.send("hello?");
    await until(() => expect(unheard.events).toHaveLength(1));
    expect(unheard.events[0]).toMatchObject({ level: "warn" });
    expect(JSON.stringify(unheard.events)).not.toContain("hello?");
  });
});

describe("a ping that waits", () => {
  test("behind a large message that comes slowly cuts nobody off", async () => {
    const app = appOf((socket) => void socket.on("message", (data) => socket.send(`${data}`)));
    await using site = await siteOf(app, { pingInterval: 20 });
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.until("\r\n\r\n");
    // No pong: the client is in the middle of a frame, of which something comes between two pings.
    const pings = () => client.received.split("\x89\x00").length - 1;
    const message = frame("x".repeat(100));
    for (const byte of message) {
      const before = pings();
      client.socket.write(Buffer.of(byte));
      if (before < 6) await until(() => expect(pings()).toBeGreaterThan(before));
    }
    await client.until("x".repeat(100));
  });

  test("for a socket that a handler has paused cuts nobody off", async () => {
    const app = appOf((socket) => {
      socket.pause();
      socket.on("message", (data) => socket.send(`${data}`));
    });
    await using site = await siteOf(app, { pingInterval: 10 });
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await until(() => expect(client.received.split("\x89\x00").length).toBeGreaterThan(5));
    client.socket.write(frame("still here"));
    const [socket] = site.upgrades.sockets;
    socket?.resume();
    await client.until("still here");
  });
});

test("queue.limit bounds the number of messages that wait", async () => {
  const options = { queue: { limit: 5, overflow: "drop-oldest" as const } };
  await using site = await siteOf(
    appOf(() => {}),
    options,
  );
  const client = await site.connect();
  client.socket.pause();
  const [socket] = site.upgrades.sockets;
  while (socket?.send("x".repeat(100_000)));
  for (let n = 0; n < 20; n++) socket?.send(`${n}`);
  expect(socket?.dropped).toBe(15);
  client.socket.resume();
  await until(() => expect(client.messages.slice(-5)).toEqual(["15", "16", "17", "18", "19"]));
});

describe("a shutdown", () => {
  test("leaves each socket as it was until its own moment", async () => {
    const app = appOf((socket) => void socket.on("message", (data) => socket.send(`${data}!`)));
    await using site = await siteOf(app);
    const client = await site.connect();
    const closing = site.upgrades.close({ over: 2 ** 31 - 1 });
    client.socket.send("still here");
    await until(() => expect(client.messages).toEqual(["still here!"]));
    expect((await site.refusal()).status).toBe(503);
    client.socket.close();
    await closing;
  });

  test("is over as soon as all sockets are gone by themselves", async () => {
    await using site = await siteOf(appOf(() => {}));
    const clients = await Promise.all([site.connect(), site.connect()]);
    const closing = site.upgrades.close({ over: 2 ** 31 - 1 });
    for (const { socket } of clients) socket.terminate();
    await closing;
  });

  test("asked for twice ends by the sooner one", async () => {
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    const late = site.upgrades.close({ over: 2 ** 31 - 1 });
    await site.upgrades.close();
    await late;
    expect((await client.closed).code).toBe(1012);
  });
});

describe("a 101 and a refusal", () => {
  test("are kept by no cache, unless the app says otherwise of its 101", async () => {
    const app = new Koa();
    app.use(async (ctx) => {
      if (ctx.path === "/own") ctx.set("Cache-Control", "private");
      await ctx.upgrade();
    });
    await using site = await siteOf(app);
    expect((await site.connect()).head.headers["cache-control"]).toBe("no-store");
    expect((await site.connect("/own")).head.headers["cache-control"]).toBe("private");
    const refusal = await site.refusal("/", { headers: { Origin: "https://evil.example" } });
    expect([refusal.status, refusal.headers["cache-control"]]).toEqual([403, "no-store"]);
  });
});

describe("no error of a connection ends the process:", () => {
  // Each step yields to the event loop once more before the client is reset.
  test.each(
    ["/", "/refused", "/late", "/plain"].flatMap((path) =>
      Array.from({ length: 12 }, (_, turns) => [path, turns] as const),
    ),
  )("%s, reset after %i turns", async (path, turns) => {
    const app = new Koa();
    app.silent = true;
    app.use(async (ctx) => {
      await nextTurn();
      if (ctx.path === "/refused") ctx.throw(403);
      if (ctx.path === "/plain") {
        ctx.body = "x".repeat(100_000);
        return;
      }
      const socket = await ctx.upgrade();
      for (let n = 0; n < 10; n++) {
        socket.send("x".repeat(10_000));
        socket.ping();
        await nextTurn();
      }
      if (ctx.path === "/late") {
        // A response that the app keeps hold of after the 101.
        expect(() => ctx.res.end("late")).toThrow();
        ctx.req.socket.destroy(new Error("gone"));
      }
      socket.close(1000);
    });
    await using site = await siteOf(app);
    using client = await RawClient.to(site.port);
    client.socket.write(Buffer.concat([Buffer.from(handshake(path)), frame("one")]));
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    client.socket.resetAndDestroy();
    await client.closed;
    await until(() => expect(site.upgrades.sockets.size).toBe(0));
    const open = () =>
      new Promise((resolve) => site.server.getConnections((_, count) => resolve(count)));
    await until(async () => expect(await open()).toBe(0));
  });
});

describe("the rate limit", () => {
  test("pauses a client that sends more, and loses nothing", async () => {
    const heard: string[] = [];
    const app = appOf((socket) => void socket.on("message", (data) => heard.push(String(data))));
    await using site = await siteOf(app, { rate: { messages: 50 }, pingInterval: 20 });
    const client = await site.connect();
    const all = Array.from({ length: 70 }, (_, n) => `${n}`);
    for (const text of all) client.socket.send(text);
    await until(() => expect(heard).toEqual(all));
    expect(client.socket.readyState).toBe(client.socket.OPEN);
  });

  test("of an upgrade takes the place of the server's, and closes with 1013 if so chosen", async () => {
    const app = new Koa();
    app.use(async (ctx) => {
      const socket = await ctx.upgrade({ rate: { bytes: 1_000, overflow: "close" } });
      socket.on("message", () => {});
    });
    await using site = await siteOf(app, { rate: { messages: 1_000_000 } });
    const client = await site.connect();
    client.socket.send(".".repeat(3_000));
    expect(await client.closed).toEqual({ code: 1013, reason: "too fast" });
  });
});

test("maxSockets refuses one more with 503, reports it, and takes the next when one has left", async () => {
  using full = reported<WebSocketEvent>("lanai:websocket:full");
  await using site = await siteOf(
    appOf(() => {}),
    { maxSockets: 1 },
  );
  const client = await site.connect();
  expect(await site.refusal()).toMatchObject({ status: 503, headers: { "retry-after": "5" } });
  expect(full.events).toHaveLength(1);
  client.socket.close();
  await client.closed;
  await until(() => expect(site.upgrades.sockets.size).toBe(0));
  await site.connect();
});
