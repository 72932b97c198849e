import { once } from "node:events";
import type { UpgradedSocket } from "@lanai/websocket";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { handshake, RawClient } from "./raw-client.ts";
import { appOf, type Site, siteOf } from "./site.ts";

const KB = "x".repeat(1024);

/** A tab that reads nothing more, as the server has it. */
async function stuckTab(site: Site): Promise<{ client: RawClient; socket: UpgradedSocket }> {
  const before = new Set(site.upgrades.sockets);
  const client = await RawClient.to(site.port);
  client.socket.write(handshake());
  await client.until("\r\n\r\n");
  client.socket.pause();
  const [socket] = [...site.upgrades.sockets].filter((it) => !before.has(it));
  return { client, socket: socket as UpgradedSocket };
}

/** Sends until the connection takes no more. */
function fill(socket: UpgradedSocket): number {
  let sent = 0;
  do sent += 1;
  while (socket.send(KB) && sent < 100_000);
  return sent;
}

const closed = (socket: UpgradedSocket) => new Promise((resolve) => socket.once("close", resolve));

describe("one tab that reads nothing", () => {
  test("delays no other", async () => {
    await using site = await siteOf(appOf(() => {}));
    const stuck = await stuckTab(site);
    const others = await Promise.all(Array.from({ length: 5 }, () => site.connect()));
    for (let n = 0; n < 2_000; n++) for (const socket of site.upgrades.sockets) socket.send(KB);
    for (const socket of site.upgrades.sockets) socket.send("last");
    for (const { messages } of others) {
      await until(() => expect(messages).toHaveLength(2_001));
      expect(messages.at(-1)).toBe("last");
    }
    stuck.client.socket.destroy();
  });

  test("is closed with 1013 by default, and says so by an event", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { queue: { bytes: 256 * 1024 } },
    );
    const { client, socket } = await stuckTab(site);
    const overflow = vi.fn();
    socket.on("overflow", overflow);
    fill(socket);
    const left: unknown[] = [];
    for (let n = 0; n < 300; n++) socket.send(KB, (error) => error && left.push(error));
    expect(socket.readyState).toBe(socket.CLOSING);
    expect(overflow).toHaveBeenCalledTimes(1);
    expect(left[0]).toMatchObject({ code: "ERR_WEBSOCKET_DROPPED" });
    await closed(socket);
    client.socket.resume();
    await client.closed;
  });

  test("that reads again gets the 1013 after what was sent", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { queue: { bytes: 1_000 }, closeTimeout: 10_000 },
    );
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.pause();
    const sent = fill(socket);
    socket.send(KB);
    client.socket.resume();
    expect(await client.closed).toEqual({ code: 1013, reason: "too slow" });
    expect(client.messages).toHaveLength(sent);
  });

  test("with drop-oldest gets the newest when it reads again", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { queue: { bytes: 20 * 1024, overflow: "drop-oldest" } },
    );
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.pause();
    const sent = fill(socket);
    for (let n = 0; n < 100; n++) socket.send(`${n}`.padEnd(1024, "."));
    expect(socket.dropped).toBeGreaterThanOrEqual(80);
    expect(socket.readyState).toBe(socket.OPEN);
    client.socket.resume();
    await until(() => expect(client.messages.at(-1)).toMatch(/^99\./));
    expect(client.messages).toHaveLength(sent + 100 - socket.dropped);
    const late = client.messages.slice(sent).map((text) => Number.parseInt(text, 10));
    expect(late).toEqual(late.map((_, n) => socket.dropped + n));
  });

  test("with drop-oldest gets the newest, however large", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { queue: { bytes: 1, overflow: "drop-oldest" } },
    );
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.pause();
    fill(socket);
    for (const text of ["a", "b", "newest"]) socket.send(text);
    expect(socket.dropped).toBe(2);
    client.socket.resume();
    await until(() => expect(client.messages.at(-1)).toBe("newest"));
  });

  test("has its policy from ctx.upgrade, where that says one", async () => {
    const app = appOf(() => {});
    app.middleware.length = 0;
    app.use(async (ctx) => {
      await ctx.upgrade({ queue: { bytes: 2_000, overflow: "drop-oldest" } });
    });
    await using site = await siteOf(app);
    const { client, socket } = await stuckTab(site);
    fill(socket);
    for (let n = 0; n < 10; n++) socket.send(KB);
    expect([socket.readyState, socket.dropped]).toEqual([socket.OPEN, 9]);
    client.socket.destroy();
  });
});

describe("send", () => {
  test("says when to wait, and drained when to go on", async () => {
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    await socket.drained();
    client.socket.pause();
    const sent = fill(socket);
    let drained = false;
    const draining = socket.drained().then(() => {
      drained = true;
    });
    socket.send("queued");
    await new Promise(setImmediate);
    expect(drained).toBe(false);
    client.socket.resume();
    await draining;
    expect(socket.bufferedAmount).toBeLessThan(64 * 1024);
    await until(() => expect(client.messages).toHaveLength(sent + 1));
  });

  test("never overtakes what waits", async () => {
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.pause();
    const sent = fill(socket);
    socket.send("first");
    // As between the moment at which the connection took something and the one at which it says so.
    const buffered = vi.spyOn(socket, "bufferedAmount", "get").mockReturnValue(0);
    socket.send("second");
    buffered.mockRestore();
    client.socket.resume();
    await until(() => expect(client.messages.slice(sent)).toEqual(["first", "second"]));
  });

  test("of large messages is drained when the last has been taken", async () => {
    await using site = await siteOf(
      appOf(() => {}),
      { queue: { bytes: 100 * 1024 * 1024 } },
    );
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.pause();
    for (let n = 0; n < 4; n++) socket.send(Buffer.alloc(8 * 1024 * 1024));
    client.socket.resume();
    await socket.drained();
    expect(socket.bufferedAmount).toBeLessThan(64 * 1024);
  });

  test("drained resolves when the client has gone", async () => {
    await using site = await siteOf(appOf(() => {}));
    const { client, socket } = await stuckTab(site);
    fill(socket);
    const draining = socket.drained();
    client.socket.resetAndDestroy();
    await draining;
    await closed(socket);
    await socket.drained();
  });

  test("delivers what it queued before the close frame", async () => {
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.pause();
    const sent = fill(socket);
    socket.send("queued");
    socket.close(4001, "done");
    client.socket.resume();
    expect(await client.closed).toEqual({ code: 4001, reason: "done" });
    expect(client.messages.slice(sent)).toEqual(["queued"]);
  });

  test("takes what ws takes: bytes, options, a callback", async () => {
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    const got: [string, boolean][] = [];
    client.socket.on("message", (data, isBinary) => got.push([String(data), isBinary]));
    const sent = vi.fn();
    socket.send(Buffer.from("bytes"), sent);
    socket.send(new Uint8Array([97]).buffer, { binary: true }, sent);
    socket.send(Buffer.from("text"), { binary: false });
    await until(() =>
      expect(got).toEqual([
        ["bytes", true],
        ["a", true],
        ["text", false],
      ]),
    );
    expect(sent).toHaveBeenCalledTimes(2);
  });

  test("to a closed socket is false, and no error", async () => {
    await using site = await siteOf(appOf(() => {}));
    const client = await site.connect();
    const [socket] = [...site.upgrades.sockets] as [UpgradedSocket];
    client.socket.terminate();
    await once(socket, "close");
    expect(socket.send("late")).toBe(false);
    const error = await new Promise((resolve) => socket.send("late", resolve));
    expect(error).toBeInstanceOf(Error);
  });
});

describe("sendShared", () => {
  test("sends one text to many sockets, in order with their other messages, and encodes it once", async () => {
    let encoded = 0;
    const shared = {
      get text() {
        encoded += 1;
        return "aloha é";
      },
    };
    const app = appOf((socket) => {
      socket.send("before");
      socket.sendShared(shared);
      socket.send("after");
    });
    await using site = await siteOf(app);
    for (const client of [await site.connect(), await site.connect()]) {
      await until(() => expect(client.messages).toEqual(["before", "aloha é", "after"]));
    }
    expect(encoded).toBe(1);
  });

  test("waits in the queue of a slow client like any message", async () => {
    const shared = { text: "x".repeat(64 * 1024) };
    let returned = true;
    const app = appOf((socket) => {
      for (let n = 0; n < 200; n++) returned = socket.sendShared(shared);
      socket.send("end");
    });
    await using site = await siteOf(app, { queue: { bytes: 64 * 1024 * 1024 } });
    const client = await site.connect();
    await until(() => expect(client.messages.at(-1)).toBe("end"));
    expect(client.messages.filter((it) => it === shared.text)).toHaveLength(200);
    expect(returned).toBe(false);
  });
});
