import { once } from "node:events";
import type { UpgradedSocket } from "@lanai/websocket";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { frame, handshake, RawClient } from "./raw-client.ts";
import { appOf, siteOf } from "./site.ts";

describe("a client that answers no ping", () => {
  test("is cut off after two intervals", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { pingInterval: 20 },
    );
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.closed;
    expect(client.received.slice(client.received.indexOf("\r\n\r\n") + 4)).toBe("\x89\x00");
    await until(() => expect(site.upgrades.sockets.size).toBe(0));
  });

  test("is left alone where pingInterval is Infinity", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { pingInterval: Infinity },
    );
    const client = await site.connect();
    const ping = vi.fn();
    client.socket.on("ping", ping);
    client.socket.ping();
    await once(client.socket, "pong");
    expect(ping).not.toHaveBeenCalled();
  });
});

test("a client that answers every ping stays", async () => {
  await using site = await siteOf(
    appOf(() => {}),
    { pingInterval: 20 },
  );
  const client = await site.connect();
  let pings = 0;
  client.socket.on("ping", () => {
    pings += 1;
  });
  await until(() => expect(pings).toBe(4));
  expect(client.socket.readyState).toBe(client.socket.OPEN);
});

describe("a client that ignores the close frame", () => {
  test("runs no message, and loses its connection long before the 30 seconds of ws", async () => {
    const ran: string[] = [];
    const app = appOf((socket) => {
      socket.on("message", (data) => {
        ran.push(String(data));
        if (ran.length === 1) socket.close(4401, "ended");
      });
    });
    await using site = await siteOf(app);
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.until("\r\n\r\n");
    client.socket.write(Buffer.concat([frame("first"), frame("same packet")]));
    await client.until("ended");
    client.socket.write(frame("after"));
    await client.closed;
    expect(ran).toEqual(["first"]);
  });

  test("gets nothing that waited for a listener, either", async () => {
    const ran = vi.fn();
    const app = appOf(async (socket) => {
      await once(socket, "ping");
      socket.close(4401);
      socket.on("message", ran);
      await once(socket, "close");
    });
    await using site = await siteOf(app, { closeTimeout: 20 });
    const client = await site.connect();
    client.socket.send("early");
    client.socket.ping();
    await client.closed;
    expect(ran).not.toHaveBeenCalled();
  });
});

test("a socket that was terminated runs no message, also of the same packet", async () => {
  const ran: string[] = [];
  const app = appOf((socket) => {
    socket.on("message", (data) => {
      ran.push(String(data));
      socket.terminate();
    });
  });
  await using site = await siteOf(app);
  using client = await RawClient.to(site.port);
  client.socket.write(handshake());
  await client.until("\r\n\r\n");
  client.socket.write(Buffer.concat([frame("first"), frame("same packet")]));
  await client.closed;
  expect(ran).toEqual(["first"]);
});

test("a close with a wrong code or reason is an error, and the socket stays open", async () => {
  await using site = await siteOf(
    appOf((socket) => void socket.on("message", () => socket.send("on"))),
  );
  const client = await site.connect();
  const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
  expect(() => socket.close(1)).toThrow(TypeError);
  expect(() => socket.close(4000, "x".repeat(124))).toThrow(RangeError);
  client.socket.send("still there?");
  await until(() => expect(client.messages).toEqual(["on"]));
});

test("a client's last messages arrive although it left without a close frame", async () => {
  const ran: string[] = [];
  const app = appOf((socket) => void socket.on("message", (data) => ran.push(String(data))));
  await using site = await siteOf(app);
  using client = await RawClient.to(site.port);
  client.socket.write(handshake());
  await client.until("\r\n\r\n");
  client.socket.end(Buffer.concat([frame("one"), frame("two")]));
  await until(() => expect(ran).toEqual(["one", "two"]));
});

describe("close", () => {
  test("closes every socket with 1012, and resolves when they are gone", async () => {
    await using site = await siteOf(appOf(() => {}));
    const clients = await Promise.all(Array.from({ length: 5 }, () => site.connect()));
    expect(site.upgrades.sockets.size).toBe(5);
    await site.upgrades.close();
    expect(site.upgrades.sockets.size).toBe(0);
    for (const { closed } of clients)
      expect(await closed).toEqual({ code: 1012, reason: "restart" });
  });

  test("spreads the ends over a time", async () => {
    await using site = await siteOf(appOf(() => {}));
    const clients = await Promise.all(Array.from({ length: 20 }, () => site.connect()));
    const [first] = [...site.upgrades.sockets] as [UpgradedSocket];
    const closing = site.upgrades.close({ over: 100 });
    const states = () =>
      [...site.upgrades.sockets].filter((it) => it.readyState === it.OPEN).length;
    expect(states()).toBe(20);
    await once(first, "close");
    await closing;
    const codes = await Promise.all(clients.map(async ({ closed }) => (await closed).code));
    expect(codes).toEqual(Array(20).fill(1012));
  });

  test("is over although a client ignores it", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { closeTimeout: 20 },
    );
    using client = await RawClient.to(site.port);
    client.socket.write(handshake());
    await client.until("\r\n\r\n");
    await site.upgrades.close();
    await client.closed;
  });

  test("refuses the handshakes under way and the next ones with 503", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const app = appOf(() => {});
    let waiting = 0;
    app.middleware.unshift(async (_ctx, next) => {
      waiting += 1;
      await promise;
      await next();
    });
    await using site = await siteOf(app);
    const underWay = site.refusal();
    await until(() => expect(waiting).toBe(1));
    await site.upgrades.close();
    resolve();
    for (const refusal of [await underWay, await site.refusal()]) {
      expect([refusal.status, refusal.body]).toEqual([503, "This server is about to restart."]);
    }
  });

  test("called twice waits for the same end", async () => {
    await using site = await siteOf(appOf(() => {}));
    await site.connect();
    await Promise.all([site.upgrades.close(), site.upgrades.close()]);
    expect(site.upgrades.sockets.size).toBe(0);
    await site.upgrades.close();
  });
});
