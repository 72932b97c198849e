import { once } from "node:events";
import { request } from "node:http";
import { connect as connectHttp2, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import Router from "@koa/router";
import { beforeHead } from "@lanai/connection";
import { createSessions, memoryStore } from "@lanai/session";
import { type SseEvent, sse } from "@lanai/sse";
import Koa from "koa";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { appWith, Opened, siteOf, Tab } from "./site.ts";

async function* counting(): AsyncGenerator<SseEvent> {
  for (let n = 1; n <= 3; n++) yield { id: `${n}`, data: { n } };
}

describe.each(koaVersions)("%s", (_version, App) => {
  describe("ctx.sse", () => {
    test("sends what an async iterable yields, and ends with it", async () => {
      await using site = await siteOf(
        appWith(App, sse(), async (ctx) => void (await ctx.sse(counting()))),
      );
      using tab = await Tab.open(site.url);
      await tab.ended;
      expect(tab.events).toEqual([
        { id: "1", event: undefined, data: '{"n":1}' },
        { id: "2", event: undefined, data: '{"n":2}' },
        { id: "3", event: undefined, data: '{"n":3}' },
      ]);
      expect(site.errors).toEqual([]);
    });

    test("sends by hand, while the handler runs and when it has returned", async () => {
      const opened = new Opened();
      const app = appWith(App, sse(), async (ctx) => {
        const stream = await ctx.sse();
        stream.send({ event: "notice", data: "now" });
        stream.comment("for nobody");
        opened.with(stream);
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await tab.until(1);
      const stream = await opened.value;
      await nextTurn();
      stream.send({ id: "é", data: "later" });
      stream.end({ retry: 50 });
      await tab.ended;
      expect(tab.events).toEqual([
        { id: undefined, event: "notice", data: "now" },
        { id: "é", event: undefined, data: "later" },
      ]);
      expect(tab.comments).toContain("for nobody");
      expect(tab.retries).toEqual([50]);
    });

    test("sends headers that keep proxies from holding events back, and something at once", async () => {
      const app = appWith(App, sse(), async (ctx) => {
        ctx.body = "replaced";
        ctx.set("X-App", "1");
        await ctx.sse();
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await until(() => expect(tab.text).toBe(": \n\n"));
      expect(tab.response.statusCode).toBe(200);
      expect(tab.response.headers).toMatchObject({
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "x-app": "1",
      });
      expect(tab.response.headers).not.toHaveProperty("content-length");
    });

    test("tells the retry of the options at the beginning", async () => {
      const app = appWith(App, sse({ retry: 1 }), async (ctx) => {
        await ctx.sse(undefined, { retry: 250 });
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await until(() => expect(tab.retries).toEqual([250]));
    });

    test("saves the session first, and sends its cookie with the head", async () => {
      const log: string[] = [];
      const store = memoryStore();
      const sessions = createSessions({
        store: {
          ...store,
          create: async (...args) => {
            await nextTurn();
            log.push("saved");
            return store.create(...args);
          },
        },
      });
      const app = appWith(App, sessions.middleware(), sse(), async (ctx) => {
        ctx.session.set("room", "blue");
        await ctx.sse(counting());
        log.push("head");
        expect(() => ctx.session.set("late", true)).toThrow(
          expect.objectContaining({ code: "ERR_SESSION_SENT" }),
        );
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await tab.ended;
      expect(log).toEqual(["saved", "head"]);
      expect(tab.response.headers["set-cookie"]).toEqual([expect.stringMatching(/^sid=/)]);
      expect(site.errors).toEqual([]);
    });

    test("a session that can't be saved is a 503 and no stream", async () => {
      const store = memoryStore();
      const failing = { ...store, create: () => Promise.reject(new Error("down")) };
      const source = counting();
      const events = sse();
      const app = appWith(
        App,
        createSessions({ store: failing }).middleware(),
        events,
        async (ctx) => {
          ctx.session.set("room", "blue");
          await ctx.sse(source);
        },
      );
      await using site = await siteOf(app);
      const answer = await fetch(site.url);
      expect(answer.status).toBe(503);
      expect(answer.headers.get("content-type")).toMatch(/^text\/plain/);
      expect(answer.headers.getSetCookie()).toEqual([]);
      expect(events.streams.size).toBe(0);
      expect(await source.next()).toEqual({ done: true, value: undefined });
    });

    test("answers HEAD with the head alone, and asks the source for nothing", async () => {
      const asked = vi.fn();
      const returned = vi.fn(async () => ({ done: true, value: undefined }));
      const source = {
        [Symbol.asyncIterator]: () => ({ next: asked, return: returned }),
      } as unknown as AsyncIterable<SseEvent>;
      await using site = await siteOf(
        appWith(App, sse(), async (ctx) => void (await ctx.sse(source))),
      );
      const answer = await fetch(site.url, { method: "HEAD" });
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
      await until(() => expect(returned).toHaveBeenCalledTimes(1));
      expect(asked).not.toHaveBeenCalled();
    });

    test("after the head has left is a typed error", async () => {
      const app = appWith(App, sse(), async (ctx) => {
        const stream = await ctx.sse();
        await ctx.sse().catch((error) => stream.send({ data: error.code }));
        stream.end();
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await tab.ended;
      expect(tab.data).toEqual(["ERR_SSE_SENT"]);
    });

    test("that nobody awaited is a typed error where Koa was faster", async () => {
      const opening = Promise.withResolvers<void>();
      const failed = Promise.withResolvers<unknown>();
      const app = appWith(App, sse(), (ctx) => {
        beforeHead(ctx, () => opening.promise);
        ctx.sse().then(undefined, failed.resolve);
      });
      await using site = await siteOf(app);
      await (await fetch(site.url)).text();
      opening.resolve();
      expect(await failed.promise).toMatchObject({ code: "ERR_SSE_SENT" });
    });

    test("serves a group, and a route's own array", async () => {
      const router = new Router();
      router.get("/events", sse(), async (ctx) => void (await ctx.sse(counting())));
      const app = appWith(App);
      app.use(router.routes());
      await using site = await siteOf(app);
      using tab = await Tab.open(`${site.url}/events`);
      await tab.ended;
      expect(tab.events).toHaveLength(3);
    });
  });

  describe("the end of the connection", () => {
    test("ends the stream and its source, also one that has nothing to say", async () => {
      const returned = vi.fn(async () => ({ done: true, value: undefined }));
      const pending = Promise.withResolvers<never>();
      const source = {
        [Symbol.asyncIterator]: () => ({ next: () => pending.promise, return: returned }),
      } as unknown as AsyncIterable<SseEvent>;
      const opened = new Opened();
      const events = sse();
      const app = appWith(App, events, async (ctx) => opened.with(await ctx.sse(source)));
      await using site = await siteOf(app);
      const tab = await Tab.open(site.url);
      const stream = await opened.value;
      expect([stream.isOver, stream.signal.aborted, events.streams.size]).toEqual([
        false,
        false,
        1,
      ]);
      tab.response.destroy();
      await stream.ended;
      expect([stream.isOver, stream.signal.aborted, events.streams.size]).toEqual([true, true, 0]);
      expect(returned).toHaveBeenCalledTimes(1);
      expect(stream.send({ data: "late" })).toBe(false);
      await stream.drained();
      stream.end();
      expect(site.errors).toEqual([]);
    });

    test("by a reset is no error of the app", async () => {
      const opened = new Opened();
      const app = appWith(App, sse(), async (ctx) => opened.with(await ctx.sse()));
      await using site = await siteOf(app);
      const tab = await Tab.open(site.url);
      const stream = await opened.value;
      tab.response.socket.resetAndDestroy();
      await stream.ended;
      expect(site.errors).toEqual([]);
    });

    test("during the save leaves nothing behind", async () => {
      const saving = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      const store = memoryStore();
      const slow = {
        ...store,
        create: async (...args: Parameters<typeof store.create>) => {
          begun.resolve();
          await saving.promise;
          return store.create(...args);
        },
      };
      const opened = new Opened();
      const events = sse();
      const app = appWith(
        App,
        createSessions({ store: slow }).middleware(),
        events,
        async (ctx) => {
          ctx.session.set("room", "blue");
          opened.with(await ctx.sse(counting()));
        },
      );
      await using site = await siteOf(app);
      const asking = request(site.url)
        .on("error", () => {})
        .end();
      const [connection] = await once(site.server, "connection").catch(() => []);
      await begun.promise;
      asking.destroy();
      await once(connection, "close");
      saving.resolve();
      const stream = await opened.value;
      await stream.ended;
      expect([stream.isOver, events.streams.size]).toEqual([true, 0]);
    });
  });

  describe("a failure", () => {
    test("of the source ends the stream, and is reported", async () => {
      const app = appWith(App, sse(), async (ctx) => {
        await ctx.sse(
          (async function* () {
            yield { data: "one" };
            throw new Error("source");
          })(),
        );
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await tab.ended;
      expect(tab.data).toEqual(["one"]);
      expect(site.errors).toEqual([expect.objectContaining({ message: "source" })]);
    });

    test("of an event that can't be sent ends the stream, and is reported", async () => {
      const app = appWith(App, sse(), async (ctx) => {
        await ctx.sse(
          (async function* (): AsyncGenerator<SseEvent> {
            yield { id: "two\nlines" };
          })(),
        );
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await tab.ended;
      expect(site.errors).toEqual([expect.any(TypeError)]);
    });

    test("of the handler after the head ends the stream, and is reported", async () => {
      const app = appWith(App, sse(), async (ctx) => {
        const stream = await ctx.sse();
        stream.send({ data: "one" });
        throw new Error("handler");
      });
      await using site = await siteOf(app);
      using tab = await Tab.open(site.url);
      await tab.ended;
      expect(tab.data).toEqual(["one"]);
      expect(site.errors).toEqual([expect.objectContaining({ message: "handler" })]);
    });
  });

  describe("ctx.lastEventId", () => {
    const echo = (options = {}) =>
      appWith(App, sse(options), (ctx) => {
        ctx.body = JSON.stringify(ctx.lastEventId ?? null);
      });
    const idOf = async (url: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(url, { headers });
      return [answer.status, await answer.text()];
    };

    test("is the header, else the query, else undefined", async () => {
      await using site = await siteOf(echo());
      const inQuery = `${site.url}/?lastEventId=q%C3%A9`;
      expect(await idOf(site.url)).toEqual([200, "null"]);
      expect(await idOf(inQuery)).toEqual([200, '"qé"']);
      expect(await idOf(inQuery, { "Last-Event-ID": "h" })).toEqual([200, '"h"']);
      expect(await idOf(inQuery, { "Last-Event-ID": "" })).toEqual([200, '"qé"']);
    });

    test("reads the header as browsers send it, in UTF-8", async () => {
      await using site = await siteOf(echo());
      const asUtf8 = Buffer.from("é✓").toString("latin1");
      const asking = request(site.url, { headers: { "Last-Event-ID": asUtf8 } }).end();
      const [answer] = await once(asking, "response");
      expect(String(Buffer.concat(await answer.toArray()))).toBe('"é✓"');
    });

    test.each([
      ["with a line break", "lastEventId=a%0Ab"],
      ["with U+0000", "lastEventId=a%00b"],
      ["of 1,025 bytes", `lastEventId=${"a".repeat(1025)}`],
      ["given twice", "lastEventId=a&lastEventId=b"],
    ])("%s is refused with 400", async (_what, query) => {
      await using site = await siteOf(echo());
      expect(await idOf(`${site.url}/?${query}`)).toEqual([
        400,
        "This last event id is not one of ours.",
      ]);
    });

    test("in the header is held to the same", async () => {
      await using site = await siteOf(echo());
      expect((await idOf(site.url, { "Last-Event-ID": "a".repeat(1025) }))[0]).toBe(400);
      expect((await idOf(site.url, { "Last-Event-ID": "a".repeat(1024) }))[0]).toBe(200);
    });

    test("takes another query parameter, or none, as the options say", async () => {
      await using other = await siteOf(echo({ lastEventIdQuery: "since" }));
      expect(await idOf(`${other.url}/?since=7&lastEventId=8`)).toEqual([200, '"7"']);
      await using none = await siteOf(echo({ lastEventIdQuery: false }));
      expect(await idOf(`${none.url}/?lastEventId=8`)).toEqual([200, "null"]);
    });

    test("is what the mount of its route says, and undefined where there is none", async () => {
      const router = new Router();
      const answer = (ctx: Koa.Context) => {
        ctx.body = JSON.stringify(ctx.lastEventId ?? null);
      };
      router.get("/one", sse({ lastEventIdQuery: "one" }), answer);
      router.get("/two", sse({ lastEventIdQuery: "two" }), answer);
      router.get("/none", answer);
      const app = appWith(App);
      app.use(router.routes());
      await using site = await siteOf(app);
      for (const [path, text] of [
        ["one", '"1"'],
        ["two", '"2"'],
        ["none", "null"],
        ["one", '"1"'],
      ]) {
        const query = "?one=1&two=2&lastEventId=3";
        expect(await idOf(`${site.url}/${path}${query}`, {})).toEqual([200, text]);
      }
    });
  });
});

test("over HTTP/2 it is the same stream", async () => {
  const opened = new Opened();
  const app = appWith(Koa, sse(), async (ctx) => opened.with(await ctx.sse(counting())));
  const callback = app.callback();
  const server = createServer((req, res) => void callback(req as never, res as never));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const stream = client.request({ ":path": "/" });
  const [head] = await once(stream, "response");
  const text = String(Buffer.concat(await stream.toArray()));
  expect(head["content-type"]).toBe("text/event-stream; charset=utf-8");
  expect(text).toBe(
    ': \n\nid: 1\ndata: {"n":1}\n\nid: 2\ndata: {"n":2}\n\nid: 3\ndata: {"n":3}\n\n',
  );
  await (await opened.value).ended;
  client.destroy();
  server.close();
});
