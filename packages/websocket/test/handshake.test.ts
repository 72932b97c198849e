import { once } from "node:events";
import { createServer } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeHead } from "@lanai/connection";
import Koa from "koa";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { frame, handshake, RawClient } from "./raw-client.ts";
import { appOf, siteOf } from "./site.ts";

/** A barrier that a middleware waits at. */
function barrier() {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  return {
    get waiting() {
      return waiting;
    },
    open: () => resolve(),
    wait: async () => {
      waiting += 1;
      await promise;
    },
  };
}

/** An app that waits at the barrier before it upgrades, and answers every message. */
function slowApp(check: { wait(): Promise<void> }, App: typeof Koa = Koa): Koa {
  const app = new App();
  app.use(async (ctx) => {
    await check.wait();
    const socket = await ctx.upgrade();
    socket.on("message", (data) => socket.send(`got ${data}`));
  });
  return app;
}

describe.each(koaVersions)("%s", (_version, App) => {
  describe("early frames", () => {
    test("in the same packet as the handshake are delivered", async () => {
      await using site = await siteOf(slowApp({ wait: async () => {} }, App));
      using client = await RawClient.to(site.port);
      client.socket.write(Buffer.concat([Buffer.from(handshake()), frame("one"), frame("two")]));
      await client.until("got two");
      expect(client.received).toMatch(/got one.*got two$/s);
    });

    test("that come during a slow check are delivered, in order", async () => {
      const check = barrier();
      await using site = await siteOf(slowApp(check, App));
      using client = await RawClient.to(site.port);
      client.socket.write(Buffer.concat([Buffer.from(handshake()), frame("one")]));
      await until(() => expect(check.waiting).toBe(1));
      client.socket.write(frame("two"));
      check.open();
      await client.until("got two");
      expect(client.received).toMatch(/got one.*got two$/s);
    });

    test("wait for a listener while the handler runs, however late it comes", async () => {
      const check = barrier();
      const app = appOf(async (socket) => {
        await check.wait();
        socket.once("message", (first) => {
          socket.send(`first ${first}`);
          socket.on("message", (data) => socket.send(`then ${data}`));
        });
      }, App);
      await using site = await siteOf(app);
      const client = await site.connect();
      for (const text of ["a", "b", "c"]) client.socket.send(text);
      client.socket.ping();
      await once(client.socket, "pong");
      expect(client.messages).toEqual([]);
      check.open();
      await until(() => expect(client.messages).toEqual(["first a", "then b", "then c"]));
    });

    test("wait for the next listener where one took a single message", async () => {
      const check = barrier();
      const app = appOf(async (socket) => {
        await check.wait();
        for (let n = 0; n < 3; n++) socket.send(String(await once(socket, "message")));
      }, App);
      await using site = await siteOf(app);
      const client = await site.connect();
      for (const text of ["a", "b", "c"]) client.socket.send(text);
      client.socket.ping();
      await once(client.socket, "pong");
      check.open();
      await until(() => expect(client.messages).toEqual(["a,false", "b,false", "c,false"]));
    });

    test("come before what comes while they are delivered", async () => {
      const check = barrier();
      const app = appOf(async (socket) => {
        await check.wait();
        socket.on("message", (data) => socket.send(String(data)));
        socket.emit("message", Buffer.from("later"), false);
        await once(socket, "close");
      }, App);
      await using site = await siteOf(app);
      const client = await site.connect();
      client.socket.send("early");
      client.socket.ping();
      await once(client.socket, "pong");
      check.open();
      await until(() => expect(client.messages).toEqual(["early", "later"]));
    });
  });
});

test("early frames beyond maxPayload make the client wait, and none is lost", async () => {
  const check = barrier();
  const app = appOf(async (socket) => {
    await check.wait();
    socket.on("message", (data) => socket.send(String(data)));
  });
  await using site = await siteOf(app, { maxPayload: 1_000 });
  const client = await site.connect();
  const texts = Array.from({ length: 100 }, (_, n) => `${n}`.padStart(100, "."));
  for (const text of texts) client.socket.send(text);
  const [socket] = site.upgrades.sockets;
  await until(() => expect(socket?.isPaused).toBe(true));
  check.open();
  await until(() => expect(client.messages).toEqual(texts));
  expect(socket?.isPaused).toBe(false);
});

test("a client that was made to wait hears the close, and answers it", async () => {
  const check = barrier();
  const app = appOf(async (socket) => {
    await check.wait();
    socket.close(4000);
    await once(socket, "close");
  });
  await using site = await siteOf(app, { maxPayload: 1_000, closeTimeout: 10_000 });
  const client = await site.connect();
  for (let n = 0; n < 100; n++) client.socket.send(".".repeat(100));
  const [socket] = site.upgrades.sockets;
  await until(() => expect(socket?.isPaused).toBe(true));
  check.open();
  expect((await client.closed).code).toBe(4000);
});

test("a message that nobody has listened for when the handler has returned is dropped", async () => {
  const app = appOf(() => {});
  await using site = await siteOf(app, { maxPayload: 1_000 });
  const client = await site.connect();
  for (let n = 0; n < 100; n++) client.socket.send(".".repeat(100));
  client.socket.ping();
  await once(client.socket, "pong");
  const [socket] = site.upgrades.sockets;
  expect(socket?.isPaused).toBe(false);
  const late: unknown[] = [];
  socket?.on("message", (data) => late.push(String(data)));
  client.socket.send("now");
  await until(() => expect(late).toEqual(["now"]));
});

describe("a reset during a slow check", () => {
  test("of many clients at once harms nobody", async () => {
    const check = barrier();
    await using site = await siteOf(slowApp(check));
    const clients = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const client = await RawClient.to(site.port);
        client.socket.write(handshake());
        return client;
      }),
    );
    await until(() => expect(check.waiting).toBe(50));
    for (const client of clients) client.socket.resetAndDestroy();
    const codes = () => site.errors.map((it) => (it as { code: string }).code);
    await until(() => expect(codes().filter((it) => it === "ECONNRESET")).toHaveLength(50));
    check.open();
    await until(() => expect(codes().filter((it) => it === "ERR_WEBSOCKET_GONE")).toHaveLength(50));
    const alive = await site.connect();
    alive.socket.send("hello");
    await until(() => expect(alive.messages).toEqual(["got hello"]));
    expect(site.upgrades.sockets.size).toBe(1);
  });

  test("saves nothing for a client that has left", async () => {
    const check = barrier();
    const saved = vi.fn();
    const app = slowApp(check);
    app.middleware.unshift(async (ctx, next) => {
      beforeHead(ctx, saved);
      await next();
    });
    await using site = await siteOf(app);
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await until(() => expect(check.waiting).toBe(1));
    client.socket.resetAndDestroy();
    await until(() => expect(site.errors).toHaveLength(1));
    check.open();
    await until(() => expect(site.errors).toHaveLength(2));
    expect(site.errors[1]).toMatchObject({ code: "ERR_WEBSOCKET_GONE" });
    expect(saved).not.toHaveBeenCalled();
  });

  test("of a client that only closes its side is no WebSocket either", async () => {
    const check = barrier();
    await using site = await siteOf(slowApp(check));
    using client = await RawClient.to(site.port);
    client.socket.end(handshake());
    await until(() => expect(check.waiting).toBe(1));
    check.open();
    await client.closed;
    expect(site.upgrades.sockets.size).toBe(0);
  });
});

test("a reset after the 101 is no error of the app", async () => {
  const app = appOf((socket) => void socket.on("message", () => {}));
  await using site = await siteOf(app);
  using client = await RawClient.to(site.port);
  client.socket.write(handshake());
  await client.until("101 Switching");
  const [socket] = site.upgrades.sockets;
  const closed = new Promise((resolve) => socket?.once("close", resolve));
  client.socket.resetAndDestroy();
  await closed;
  expect(site.errors).toEqual([]);
});

describe("a handshake that takes too long", () => {
  test("is answered 503, and the late upgrade is a typed error", async () => {
    const check = barrier();
    const app = slowApp(check);
    app.middleware.unshift(async (ctx, next) => {
      ctx.set("X-Half-Done", "1");
      await next();
    });
    await using site = await siteOf(app, { handshakeTimeout: 20 });
    const refusal = await site.refusal();
    expect([refusal.status, refusal.body]).toEqual([503, "The handshake took too long."]);
    expect(refusal.headers).not.toHaveProperty("x-half-done");
    expect(refusal.headers["retry-after"]).toBe("5");
    check.open();
    await until(() =>
      expect(site.errors).toEqual([expect.objectContaining({ code: "ERR_WEBSOCKET_TIMEOUT" })]),
    );
  });

  test("while the session is saved is no WebSocket either", async () => {
    const check = barrier();
    const app = new Koa();
    app.use(async (ctx) => {
      beforeHead(ctx, () => check.wait());
      await ctx.upgrade();
    });
    await using site = await siteOf(app, { handshakeTimeout: 20 });
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.closed;
    check.open();
    await until(() =>
      expect(site.errors).toEqual([expect.objectContaining({ code: "ERR_WEBSOCKET_TIMEOUT" })]),
    );
    expect(client.status).toBe(503);
    expect(client.received).not.toContain("101");
  });

  test("is not waited for when the answer was another", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await using site = await siteOf(new Koa());
    expect((await site.refusal()).status).toBe(404);
    while (vi.getTimerCount() > 0) await nextTurn();
    vi.useRealTimers();
  });

  test("harms no app that answers too late by itself", async () => {
    const check = barrier();
    const app = new Koa();
    const done = Promise.withResolvers<unknown>();
    app.use(async (ctx, next) => {
      await next();
      done.resolve(ctx.status);
    });
    app.use(async (ctx) => {
      await check.wait();
      ctx.body = "late";
    });
    await using site = await siteOf(app, { handshakeTimeout: 20 });
    expect((await site.refusal()).status).toBe(503);
    check.open();
    expect(await done.promise).toBe(503);
    expect(site.errors).toEqual([]);
  });

  test("leaves an open socket alone", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await using site = await siteOf(slowApp({ wait: async () => {} }));
    const client = await site.connect();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(60_000);
    vi.useRealTimers();
    client.socket.send("still here");
    await until(() => expect(client.messages).toEqual(["got still here"]));
  });
});

describe("a request that is not as RFC 6455 wants it", () => {
  const plain = () => {
    const app = new Koa();
    app.use((ctx) => {
      ctx.body = `served ${ctx.method}`;
    });
    return app;
  };
  test.each([
    ["a key of another size", { "Sec-WebSocket-Key": "c2hvcnQ=" }, 400],
    ["no key", { "Sec-WebSocket-Key": undefined }, 400],
    ["another version", { "Sec-WebSocket-Version": "8" }, 426],
    ["no version", { "Sec-WebSocket-Version": undefined }, 426],
    ["a subprotocol offered twice", { "Sec-WebSocket-Protocol": "chat, chat" }, 400],
    ["a subprotocol that is no name", { "Sec-WebSocket-Protocol": "chat,, a b" }, 400],
    ["a body", { "Content-Length": "5" }, 400],
    ["a body in chunks", { "Transfer-Encoding": "chunked" }, 400],
  ])("%s is refused before the app runs", async (_what, headers, status) => {
    await using site = await siteOf(plain());
    using client = await RawClient.to(site.port);
    client.socket.write(handshake("/", headers));
    await client.closed;
    expect(client.status).toBe(status);
    if (status === 426) expect(client.received).toContain("Sec-WebSocket-Version: 13");
    expect(client.received).not.toContain("served");
  });

  test.each([
    ["another protocol", { Upgrade: "h2c" }, "GET"],
    ["another method", {}, "POST"],
  ])("%s is served as a plain request", async (_what, headers, method) => {
    await using site = await siteOf(plain());
    using client = await RawClient.to(site.port);
    client.socket.write(handshake("/", { ...headers, "Content-Length": "0" }, method));
    await client.until(`served ${method}`);
    expect(client.status).toBe(200);
  });

  test("of HTTP/1.0 gets no WebSocket", async () => {
    await using site = await siteOf(appOf(() => {}));
    using client = await RawClient.to(site.port);
    client.socket.write(handshake().replace("HTTP/1.1", "HTTP/1.0"));
    await client.until("\r\n\r\n");
    expect(client.status).toBe(426);
  });

  test("another method gets no WebSocket", async () => {
    await using site = await siteOf(appOf(() => {}));
    using client = await RawClient.to(site.port);
    client.socket.write(handshake("/", { "Content-Length": "0" }, "POST"));
    await client.until("\r\n\r\n");
    expect(client.status).toBe(426);
  });

  test("Connection may say more than Upgrade, and Upgrade may be written in capitals", async () => {
    await using site = await siteOf(appOf(() => {}));
    using client = await RawClient.to(site.port);
    client.socket.write(
      handshake("/", { Connection: "keep-alive, UPGRADE", Upgrade: "WebSocket" }),
    );
    await client.until("\r\n\r\n");
    expect(client.status).toBe(101);
  });

  test("a plain request with a body keeps it; before Node 24.9 it is refused", async () => {
    const app = new Koa();
    app.use(async (ctx) => {
      const chunks = await ctx.req.toArray();
      ctx.body = `body ${Buffer.concat(chunks)}`;
    });
    await using site = await siteOf(app);
    using client = await RawClient.to(site.port);
    const headers = { Upgrade: "h2c", "Content-Length": "5" };
    client.socket.write(`${handshake("/", headers, "POST")}hello`);
    const isKept = "shouldUpgradeCallback" in createServer();
    await client.until(isKept ? "body hello" : "An upgrade request must have no body.");
  });
});

describe("where Node gives every upgrade request to the listeners", () => {
  /** As Node before 24.9 does. */
  const giveAll = (server: object) => Object.assign(server, { shouldUpgradeCallback: () => true });

  test("one for another protocol is served as a plain request, and its connection closed", async () => {
    const app = new Koa();
    app.use((ctx) => {
      ctx.body = "plain";
    });
    let server: object = {};
    const { listen } = app;
    app.listen = ((...args: Parameters<Koa["listen"]>) => {
      const listening = listen.apply(app, args);
      server = listening;
      return listening;
    }) as Koa["listen"];
    await using site = await siteOf(app);
    giveAll(server);
    using client = await RawClient.to(site.port);
    client.socket.write(handshake("/", { Upgrade: "h2c" }));
    await client.closed;
    expect(client.received).toMatch(/^HTTP\/1\.1 200 .*Connection: close.*plain$/s);
  });
});

describe("a hostile frame", () => {
  test.each([
    ["larger than maxPayload", Buffer.concat([Buffer.of(0x81, 0xfe, 0x10, 0x00)]), 1009],
    ["of text that is no UTF-8", frame(Buffer.of(0xff)), 1007],
    ["without a mask", Buffer.of(0x81, 0x01, 0x61), 1002],
  ])("%s closes the socket, without a listener for errors", async (_what, bytes, code) => {
    const closed = Promise.withResolvers<number>();
    const app = appOf((socket) => void socket.on("close", closed.resolve));
    await using site = await siteOf(app, { maxPayload: 1_000 });
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.until("\r\n\r\n");
    client.socket.write(bytes);
    await client.closed;
    expect(client.received).toContain(
      Buffer.of(0x88, 2, code >> 8, code & 0xff).toString("latin1"),
    );
    expect(await closed.promise).toBe(1006);
    expect(site.errors).toEqual([]);
  });
});
