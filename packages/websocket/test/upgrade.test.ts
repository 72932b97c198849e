import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import Router from "@koa/router";
import { connectionSignal } from "@lanai/connection";
import { createSessions, memoryStore } from "@lanai/session";
import type Koa from "koa";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { appOf, siteOf } from "./site.ts";

describe.each(koaVersions)("%s", (_version, App) => {
  describe("an upgrade request", () => {
    test("runs the app's global, group and route middlewares, in that order", async () => {
      const log =
        (name: string): Koa.Middleware =>
        async (ctx, next) => {
          ctx.state.log = [...(ctx.state.log ?? []), name];
          await next();
        };
      const group = new Router({ prefix: "/rooms" });
      group.use(log("group"));
      group.get("/:room", log("route"), async (ctx) => {
        const socket = await ctx.upgrade();
        socket.send(`${ctx.state.log} ${ctx.params.room} ${ctx.query.as} ${ctx.get("X-Name")}`);
      });
      const app = new App();
      app.use(log("global")).use(group.routes());
      await using site = await siteOf(app);
      const client = await site.connect("/rooms/blue?as=ada", { headers: { "X-Name": "tab" } });
      await until(() => expect(client.messages).toEqual(["global,group,route blue ada tab"]));
    });

    test("sees a middleware that was added after attachUpgrade", async () => {
      const app = new App();
      await using site = await siteOf(app);
      app.use(async (ctx) => void (await ctx.upgrade()).send("late"));
      const client = await site.connect();
      await until(() => expect(client.messages).toEqual(["late"]));
    });

    test("leaves plain requests as they are", async () => {
      const app = new App();
      app.use((ctx) => {
        ctx.body = "plain";
      });
      await using site = await siteOf(app);
      expect(await (await fetch(site.url)).text()).toBe("plain");
    });
  });

  describe("a refusal is plain HTTP", () => {
    const refusals: Record<string, (ctx: Koa.Context) => unknown> = {
      "a middleware's 401, with its header and its body": (ctx) => {
        ctx.status = 401;
        ctx.set("WWW-Authenticate", 'Session realm="app"');
        ctx.body = { code: "ERR_SESSION_REQUIRED" };
      },
      "a thrown 403": (ctx) => ctx.throw(403, "not for you"),
      "a request that no route upgrades": () => {},
      "an error": () => {
        throw new Error("secret");
      },
      "a redirect": (ctx) => ctx.redirect("/sign-in"),
    };
    test.each([
      [Object.keys(refusals)[0], 401, '{"code":"ERR_SESSION_REQUIRED"}', "www-authenticate"],
      [Object.keys(refusals)[1], 403, "not for you", "content-length"],
      [Object.keys(refusals)[2], 404, "Not Found", "content-length"],
      [Object.keys(refusals)[3], 500, "Internal Server Error", "content-length"],
      [Object.keys(refusals)[4], 302, "Redirecting to /sign-in.", "location"],
    ])("%s", async (name = "", status, body, header) => {
      const app = new App();
      app.use(refusals[name] as Koa.Middleware);
      await using site = await siteOf(app);
      const refusal = await site.refusal();
      expect([refusal.status, refusal.body]).toEqual([status, body]);
      expect(refusal.headers).toHaveProperty(header);
      expect(refusal.headers.connection).toBe("close");
    });

    test("a cookie that was set for the refused visitor is sent", async () => {
      const app = new App();
      app.use((ctx) => {
        ctx.cookies.set("seen", "1");
        ctx.status = 403;
      });
      await using site = await siteOf(app);
      expect((await site.refusal()).headers["set-cookie"]).toEqual(["seen=1; path=/; httponly"]);
    });

    test("a plain request to a socket's route is a 426 that names what to ask for", async () => {
      await using site = await siteOf(appOf(() => {}, App));
      const answer = await fetch(site.url);
      expect([answer.status, await answer.text()]).toEqual([
        426,
        "This address is for WebSockets.",
      ]);
      expect(answer.headers.get("Upgrade")).toBe("websocket");
    });
  });

  describe("ctx.upgrade", () => {
    test("saves the session first, and sends its cookie and the other headers with the 101", async () => {
      const log: string[] = [];
      const store = memoryStore();
      const create = store.create.bind(store);
      const sessions = createSessions({
        store: {
          ...store,
          create: async (...args) => {
            await nextTurn();
            log.push("saved");
            return create(...args);
          },
        },
      });
      const app = new App();
      app.use(sessions.middleware());
      app.use(async (ctx) => {
        ctx.session.set("room", "blue");
        ctx.cookies.set("plain", "1");
        ctx.set("X-Served-By", "one");
        ctx.type = "text";
        await ctx.upgrade();
        log.push("upgraded");
      });
      await using site = await siteOf(app);
      const { head } = await site.connect();
      expect(log).toEqual(["saved", "upgraded"]);
      expect(head.statusCode).toBe(101);
      expect(head.headers["set-cookie"]).toEqual([
        "plain=1; path=/; httponly",
        expect.stringMatching(/^sid=[\w-]{43}; /),
      ]);
      expect(head.headers["x-served-by"]).toBe("one");
      expect(head.headers["cache-control"]).toBe("no-store");
      expect(head.headers).not.toHaveProperty("content-type");
    });

    test("a session that can't be saved is a 503 and no WebSocket", async () => {
      const store = memoryStore();
      const failing = { ...store, create: () => Promise.reject(new Error("down")) };
      const app = new App();
      app.silent = true;
      app.use(createSessions({ store: failing }).middleware());
      app.use(async (ctx) => {
        ctx.session.set("room", "blue");
        await ctx.upgrade();
      });
      await using site = await siteOf(app);
      const refusal = await site.refusal();
      expect(refusal.status).toBe(503);
      expect(refusal.headers).not.toHaveProperty("set-cookie");
      expect(site.upgrades.sockets.size).toBe(0);
    });

    test("afterwards a cookie, a status, a body and a second upgrade are typed errors", async () => {
      const seen: unknown[] = [];
      const attempt = async (what: () => unknown) => {
        try {
          await what();
          seen.push("nothing");
        } catch (error) {
          seen.push((error as { code?: string }).code);
        }
      };
      const app = appOf(async (socket, ctx) => {
        await attempt(() => ctx.cookies.set("late", "1"));
        await attempt(() => {
          ctx.status = 200;
        });
        await attempt(() => {
          ctx.body = "late";
        });
        await attempt(() => ctx.redirect("/"));
        await attempt(() => ctx.res.end("late"));
        await attempt(() => ctx.upgrade());
        socket.send(`${ctx.status} ${ctx.headerSent}`);
      }, App);
      await using site = await siteOf(app);
      const client = await site.connect();
      await until(() => expect(client.messages).toEqual(["101 true"]));
      expect(seen).toEqual(Array(6).fill("ERR_WEBSOCKET_UPGRADED"));
    });

    test("afterwards the session is saved explicitly", async () => {
      const sessions = createSessions();
      const app = new App();
      app.use(sessions.middleware());
      app.use(async (ctx) => {
        const { id = "" } = ctx.session;
        const socket = await ctx.upgrade();
        const [text] = await once(socket, "message");
        try {
          ctx.session.set("said", String(text));
        } catch (error) {
          socket.send((error as { code: string }).code);
        }
        const session = await sessions.open(id);
        session?.set("said", String(text));
        await session?.commit();
        socket.send((await sessions.open(id))?.getString("said") ?? "");
      });
      await using site = await siteOf(app);
      const { headers } = await sessions.create({ userId: "ada" });
      const client = await site.connect("/", { headers });
      client.socket.send("hello");
      await until(() => expect(client.messages).toEqual(["ERR_SESSION_SENT", "hello"]));
    });

    test("a header that an outer middleware sets when the handler has returned harms nothing", async () => {
      const app = new App();
      app.use(async (ctx, next) => {
        await next();
        ctx.set("X-Response-Time", "1");
        ctx.vary("Cookie");
      });
      app.use(async (ctx) => void (await ctx.upgrade()).send("fine"));
      await using site = await siteOf(app);
      const client = await site.connect();
      await until(() => expect(client.messages).toEqual(["fine"]));
      expect(site.errors).toEqual([]);
    });

    test("a handler that fails afterwards closes the socket with 1011, and is reported", async () => {
      const app = appOf(() => {
        throw new Error("handler");
      }, App);
      await using site = await siteOf(app);
      const client = await site.connect();
      expect(await client.closed).toEqual({ code: 1011, reason: "failed" });
      expect(site.errors).toEqual([expect.objectContaining({ message: "handler" })]);
    });

    test.each<[how: string, listener: (data: unknown) => unknown]>([
      ["throws", (data) => JSON.parse(String(data))],
      ["rejects", async (data) => JSON.parse(String(data))],
    ])(
      "a message listener that %s closes its socket with 1011, and no other",
      async (_how, listener) => {
        const app = appOf((socket) => {
          socket.on("message", listener);
          socket.on("message", (data) => socket.send(`heard ${data}`));
        }, App);
        await using site = await siteOf(app);
        const other = await site.connect();
        const client = await site.connect();
        client.socket.send("{no JSON");
        expect(await client.closed).toEqual({ code: 1011, reason: "failed" });
        expect(site.errors).toEqual([expect.any(SyntaxError)]);
        other.socket.send("{}");
        await until(() => expect(other.messages).toEqual(["heard {}"]));
      },
    );

    test("hands the connection's signal over to the socket", async () => {
      const signals: AbortSignal[] = [];
      const app = new App();
      app.use(async (ctx) => {
        signals.push(connectionSignal(ctx));
        await ctx.upgrade();
        signals.push(connectionSignal(ctx));
      });
      await using site = await siteOf(app);
      const client = await site.connect();
      client.socket.ping();
      await new Promise((resolve) => client.socket.once("pong", resolve));
      expect(signals.map((it) => it.aborted)).toEqual([false, false]);
      client.socket.close();
      await until(() => expect(signals.map((it) => it.aborted)).toEqual([true, true]));
    });

    test("chooses the first of the handler's subprotocols that the client offers", async () => {
      const app = new App();
      app.use(async (ctx) => void (await ctx.upgrade({ protocols: ["b", "a"] })));
      await using site = await siteOf(app);
      const client = await site.connect("/", { protocols: ["a", "b", "c"] });
      expect(client.socket.protocol).toBe("b");
    });

    test("chooses no subprotocol where the handler names none", async () => {
      await using site = await siteOf(appOf(() => {}, App));
      await expect(site.connect("/", { protocols: ["a"] })).rejects.toThrow("no subprotocol");
    });

    test("a client that offers other subprotocols only is refused with 400", async () => {
      const app = new App();
      app.use(async (ctx) => void (await ctx.upgrade({ protocols: ["chat"] })));
      await using site = await siteOf(app);
      const refusal = await site.refusal("/", { protocols: ["other"] });
      expect(refusal.status).toBe(400);
      expect(refusal.body).toContain("chat");
      expect((await site.refusal()).status).toBe(400);
    });
  });
});
