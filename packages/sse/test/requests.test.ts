import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createSessions } from "@lanai/session";
import { type SseReport, type SseStream, sse } from "@lanai/sse";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { appWith, Opened, siteOf, Tab } from "./site.ts";

type Headers = Readonly<Record<string, string>>;

async function send(port: number, head: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(head);
  return socket;
}

const headOf = (headers: Headers, version = "1.1"): string => {
  const lines = Object.entries({ Host: "a", ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `GET / HTTP/${version}\r\n${lines.join("")}\r\n`;
};

async function read(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  await once(socket, "close");
  return text;
}

const KEY = { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" };
const VERSION = { "Sec-WebSocket-Version": "13" };
const CLOSE = { Connection: "close" };

describe("a WebSocket handshake", () => {
  test.each<[what: string, headers: Headers, version?: string]>([
    ["without Upgrade and Connection", { ...KEY, ...VERSION, ...CLOSE }],
    ["of HTTP/1.0", { ...KEY, ...VERSION, ...CLOSE }, "1.0"],
    ["with its key alone", { ...KEY, ...CLOSE }],
    ["with its version alone", { ...VERSION, ...CLOSE }],
    ["without Connection", { ...KEY, ...VERSION, ...CLOSE, Upgrade: "websocket" }],
    ["without Upgrade", { ...KEY, ...VERSION, Connection: "upgrade, close" }],
  ])(
    "%s is a 426 that names the proxy's setting, and no stream",
    async (_what, headers, version) => {
      const events = sse();
      const app = appWith(Koa, events, async (ctx) => void (await ctx.sse()));
      await using site = await siteOf(app);
      const answer = await read(await send(site.port, headOf(headers, version)));
      expect(answer).toMatch(/^HTTP\/1\.1 426 /);
      expect(answer).toContain("proxy_set_header Upgrade $http_upgrade");
      expect(answer).not.toContain("text/event-stream");
      expect(events.streams.size).toBe(0);
      expect(site.errors).toEqual([expect.objectContaining({ code: "ERR_SSE_UPGRADE_LOST" })]);
    },
  );

  test("that a server without attachUpgrade gets is a 426 that names it", async () => {
    const app = appWith(Koa, sse(), async (ctx) => void (await ctx.sse()));
    await using site = await siteOf(app);
    const headers = { ...KEY, ...VERSION, Connection: "Upgrade", Upgrade: "websocket" };
    const socket = await send(site.port, headOf(headers));
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    await until(() => expect(answer).toContain("attachUpgrade"));
    expect(answer).toMatch(/^HTTP\/1\.1 426 /);
    socket.destroy();
  });

  test("is reported at most once a minute", async () => {
    using lost = reported<SseReport>("lanai:sse:upgrade-lost");
    const app = appWith(Koa, sse(), async (ctx) => void (await ctx.sse()));
    await using site = await siteOf(app);
    for (let n = 0; n < 3; n++) await read(await send(site.port, headOf({ ...KEY, ...CLOSE })));
    expect(lost.events).toEqual([
      { level: "warn", message: expect.stringContaining("a proxy has dropped") },
    ]);
  });
});

describe.each(koaVersions)("%s", (_version, App) => {
  test("no cache keeps a stream, whatever the app and its session have set", async () => {
    const app = appWith(App, createSessions().middleware(), sse(), async (ctx) => {
      ctx.session.set("room", "blue");
      ctx.set({
        "Cache-Control": "public, max-age=3600",
        "CDN-Cache-Control": "max-age=3600",
        "Surrogate-Control": "max-age=3600",
        Expires: new Date(2 ** 42).toUTCString(),
        ETag: '"1"',
      });
      ctx.lastModified = new Date();
      await ctx.sse();
    });
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    const { headers } = tab.response;
    expect(headers["cache-control"]).toBe("no-store, no-transform");
    expect(headers["set-cookie"]).toHaveLength(1);
    for (const name of [
      "cdn-cache-control",
      "surrogate-control",
      "expires",
      "etag",
      "last-modified",
    ])
      expect(headers).not.toHaveProperty(name);
  });

  test.each(PROXIES)("$name: a stream has the visitor of the page", async ({ request, origin }) => {
    const app = appWith(App, createSessions().middleware(), sse(), async (ctx) => {
      if (ctx.path === "/sign-in") {
        ctx.session.login("ada");
        ctx.status = 204;
        return;
      }
      const { userId } = ctx.session;
      const stream = await ctx.sse();
      stream.send({ data: `${userId} ${ctx.protocol}` });
      stream.end();
    });
    app.proxy = true;
    await using site = await siteOf(app);
    const headers = { ...request, Origin: origin, ...CLOSE };
    const signIn = await read(await send(site.port, headOf(headers).replace("/", "/sign-in")));
    const [, Cookie = ""] = /set-cookie: ([^;]+)/i.exec(signIn) ?? [];
    const answer = await read(await send(site.port, headOf({ ...headers, Cookie })));
    expect(answer).toContain("data: ada ");
  });
});

describe("no error of a connection ends the process:", () => {
  // Each step yields to the event loop once more before the client is reset.
  test.each(Array.from({ length: 24 }, (_, n) => n))("a reset after %i turns", async (turns) => {
    const app = appWith(Koa, createSessions().middleware(), sse({ heartbeat: 1 }), async (ctx) => {
      ctx.session.set("n", 1);
      await nextTurn();
      const stream = await ctx.sse();
      for (let n = 0; n < 20; n++) {
        stream.send({ data: "x".repeat(10_000) });
        await nextTurn();
      }
      stream.end();
    });
    await using site = await siteOf(app);
    const socket = await send(site.port, headOf({}));
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    socket.resetAndDestroy();
    const open = () =>
      new Promise((resolve) => site.server.getConnections((_, count) => resolve(count)));
    await until(async () => expect(await open()).toBe(0));
  });

  test.each<[what: string, end: (ctx: Koa.Context) => void]>([
    ["the app has ended the response", (ctx) => void ctx.res.end()],
    ["the app has destroyed the response", (ctx) => void ctx.res.destroy()],
    ["the app has destroyed the socket", (ctx) => void ctx.req.socket.destroy(new Error("gone"))],
    ["the response has failed", (ctx) => void ctx.res.destroy(new Error("gone"))],
  ])("a send when %s", async (_what, end) => {
    const opened = new Opened<[SseStream, Koa.Context]>();
    const app = appWith(Koa, sse(), async (ctx) => opened.with([await ctx.sse(), ctx]));
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    const [stream, ctx] = await opened.value;
    end(ctx);
    for (let n = 0; n < 3; n++) {
      stream.send({ data: "late" });
      stream.comment("late");
      await nextTurn();
    }
    stream.end();
    await tab.ended;
    await stream.ended;
  });

  test("a source whose return throws", async () => {
    const opened = new Opened();
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: () => {
          throw new Error("return");
        },
      }),
    };
    const app = appWith(Koa, sse(), async (ctx) => opened.with(await ctx.sse(source)));
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    const stream = await opened.value;
    tab.response.destroy();
    await stream.ended;
    await nextTurn();
  });
});

test("queue.limit bounds the number of events that wait", async () => {
  const opened = new Opened();
  const app = appWith(Koa, sse({ queue: { limit: 5, overflow: "drop-oldest" } }), async (ctx) =>
    opened.with(await ctx.sse()),
  );
  await using site = await siteOf(app);
  using tab = await Tab.open(site.url);
  tab.response.pause();
  const stream = await opened.value;
  while (stream.send({ data: "x".repeat(100_000) }));
  for (let n = 0; n < 20; n++) stream.send({ data: `${n}` });
  expect(stream.dropped).toBe(15);
  tab.response.resume();
  await until(() => expect(tab.data.slice(-5)).toEqual(["15", "16", "17", "18", "19"]));
});
