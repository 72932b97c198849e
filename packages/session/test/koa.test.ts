import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect as connectHttp2, createServer } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { inspect } from "node:util";
import { createSessions, headerTracker, type SessionsOptions, session } from "@lanai/session";
import type Koa from "koa";
import { describe, expect, test } from "vitest";
import { Browser, type Served, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { watchedStore } from "./watched-store.ts";

type Handler = (ctx: Koa.Context) => unknown;

const ID = /[\w-]{43}/;
const cookieNames = (response: Response): string[] =>
  response.headers.getSetCookie().map((line) => line.slice(0, line.indexOf("=")));

describe.each(koaVersions)("%s", (_version, App) => {
  /** An app with sessions: `/seed` stores `n`, `/n` tells it, anything else is the handler's. */
  const appOf = (handler: Handler, options: SessionsOptions = {}): Koa => {
    const app = new App();
    app.silent = true;
    app.use(session(options));
    app.use(async (ctx) => {
      if (ctx.path === "/seed") {
        ctx.session.set("n", 1);
        ctx.body = "seeded";
      } else if (ctx.path === "/n") {
        ctx.body = String(ctx.session.get("n"));
      } else {
        await handler(ctx);
      }
    });
    return app;
  };
  const serveApp = (handler: Handler, options?: SessionsOptions): Promise<Served> =>
    serve(appOf(handler, options));

  describe("what a handler set is stored before the head leaves, and sent with it", () => {
    test.each<[string, Handler, RequestInit?]>([
      [
        "a body",
        (ctx) => {
          ctx.body = "ok";
        },
      ],
      ["no body (404)", () => {}],
      [
        "204",
        (ctx) => {
          ctx.status = 204;
        },
      ],
      ["a redirect", (ctx) => ctx.redirect("/n")],
      ["ctx.throw", (ctx) => ctx.throw(403, "no")],
      [
        "an error without a status",
        () => {
          throw new Error("broken");
        },
      ],
      [
        "a thrown string",
        () => {
          throw "text";
        },
      ],
      [
        "a stream",
        (ctx) => {
          ctx.body = Readable.from(["a", "b"]);
        },
      ],
      [
        "a plain object",
        (ctx) => {
          ctx.body = { json: true };
        },
      ],
      [
        "HEAD",
        (ctx) => {
          ctx.body = "ok";
        },
        { method: "HEAD" },
      ],
      [
        "304",
        (ctx) => {
          ctx.etag = "x";
          ctx.status = 200;
          if (ctx.fresh) ctx.status = 304;
        },
        { headers: { "if-none-match": '"x"' } },
      ],
    ])("%s", async (_what, answer, init) => {
      await using served = await serveApp((ctx) => {
        ctx.session.set("n", 2);
        return answer(ctx);
      });
      const newcomer = new Browser(served);
      const response = await newcomer.request("/answer", init);
      await response.text();
      expect(cookieNames(response)).toEqual(["sid"]);
      expect(response.headers.get("Cache-Control")).toBe("no-store");
      expect(await newcomer.text("/n")).toBe("2");

      const known = new Browser(served);
      await known.get("/seed");
      const second = await known.request("/answer", init);
      await second.text();
      expect(cookieNames(second)).toEqual([]);
      expect(await known.text("/n")).toBe("2");
    });

    test("a redirect is followed to a page that knows it", async () => {
      await using served = await serveApp((ctx) => {
        ctx.session.set("n", 7);
        ctx.redirect("/n");
      });
      const browser = new Browser(served);
      await browser.get("/seed");
      const response = await browser.request("/go", { redirect: "follow" });
      expect(await response.text()).toBe("7");
    });

    test("an error above the middleware keeps it too", async () => {
      const app = new App();
      app.silent = true;
      app.use(async (ctx, next) => {
        await next();
        ctx.throw(418);
      });
      app.use(session());
      app.use((ctx) => {
        if (ctx.session.get("n") === undefined) ctx.session.set("n", 1);
        else ctx.set("X-N", "1");
      });
      await using served = await serve(app);
      const browser = new Browser(served);
      const response = await browser.get("/");
      expect(response.status).toBe(418);
      expect(cookieNames(response)).toEqual(["sid"]);
    });

    test("an error that a middleware above turns into a page sends one cookie", async () => {
      const app = new App();
      app.use(async (ctx, next) => {
        try {
          await next();
        } catch {
          ctx.status = 400;
          ctx.body = "a page";
        }
      });
      app.use(session());
      app.use((ctx) => {
        ctx.session.set("n", 1);
        ctx.throw(403);
      });
      await using served = await serve(app);
      const response = await fetch(served.url);
      expect([response.status, await response.text()]).toEqual([400, "a page"]);
      expect(cookieNames(response)).toEqual(["sid"]);
    });
  });

  describe("ctx.respond = false", () => {
    test("an awaited commit sends the cookie with the app's own head", async () => {
      await using served = await serveApp(async (ctx) => {
        ctx.respond = false;
        ctx.session.set("n", 2);
        await ctx.session.commit();
        ctx.res.writeHead(200, { "Set-Cookie": ["app=1", "app=2"] });
        ctx.res.end("raw");
      });
      const browser = new Browser(served);
      const response = await browser.get("/raw");
      expect(await response.text()).toBe("raw");
      expect(cookieNames(response).toSorted()).toEqual(["app", "app", "sid"]);
      expect(await browser.text("/n")).toBe("2");
    });

    test("a write after the head has left is ERR_SESSION_SENT", async () => {
      const codes: unknown[] = [];
      await using served = await serveApp((ctx) => {
        ctx.respond = false;
        ctx.res.write("the beginning");
        try {
          ctx.session.set("n", 2);
        } catch (error) {
          codes.push((error as { code: string }).code);
        }
        ctx.res.end();
      });
      await (await fetch(served.url)).text();
      expect(codes).toEqual(["ERR_SESSION_SENT"]);
    });

    test("a new session that comes too late for its cookie is an error event, and is not stored", async () => {
      const { store, calls } = watchedStore();
      const app = appOf(
        (ctx) => {
          ctx.respond = false;
          ctx.session.set("n", 2);
          ctx.res.end("sent");
        },
        { store },
      );
      const failed = Promise.withResolvers<unknown>();
      app.on("error", failed.resolve);
      await using served = await serve(app);
      expect(await (await fetch(served.url)).text()).toBe("sent");
      expect(await failed.promise).toMatchObject({ code: "ERR_SESSION_SENT" });
      expect(calls).toEqual([]);
    });

    test("reads go on after the head has left", async () => {
      await using served = await serveApp((ctx) => {
        ctx.respond = false;
        ctx.res.write("n is ");
        ctx.res.end(String(ctx.session.get("n")));
      });
      const browser = new Browser(served);
      await browser.get("/seed");
      expect(await browser.text("/raw")).toBe("n is 1");
    });
  });

  describe("the response's headers", () => {
    test("nothing touched: no cookie, no Cache-Control, no Vary", async () => {
      await using served = await serveApp((ctx) => {
        ctx.body = "ok";
      });
      const { headers } = await fetch(served.url);
      for (const name of ["Set-Cookie", "Cache-Control", "Vary"])
        expect(headers.has(name)).toBe(false);
    });

    test("a response that read the session varies by Cookie, and may be cached", async () => {
      await using served = await serveApp(() => {});
      const { headers } = await fetch(`${served.url}/n`);
      expect(headers.get("Vary")).toBe("Cookie");
      expect(headers.has("Cache-Control")).toBe(false);
    });

    test("also if it is an error", async () => {
      await using served = await serveApp((ctx) => {
        ctx.session.get("n");
        ctx.throw(404, "nothing for you");
      });
      const { headers } = await fetch(served.url);
      expect(headers.get("Vary")).toBe("Cookie");
    });

    test.each([
      ["Origin", "Origin, Cookie"],
      ["cookie", "cookie"],
      ["Accept, Cookie", "Accept, Cookie"],
      ["*", "*"],
    ])("the app's Vary %s becomes %s", async (own, merged) => {
      await using served = await serveApp((ctx) => {
        ctx.set("Vary", own);
        ctx.session.get("n");
        ctx.body = "ok";
      });
      expect((await fetch(served.url)).headers.get("Vary")).toBe(merged);
    });

    test("an error that says by what it varies varies by Cookie as well", async () => {
      await using served = await serveApp((ctx) => {
        ctx.session.get("n");
        ctx.throw(403, { headers: { Vary: "Origin" } });
      });
      const vary = (await fetch(served.url)).headers.get("Vary") ?? "";
      expect(vary.split(", ").toSorted()).toEqual(["Cookie", "Origin"]);
    });

    test("a response that sets the cookie is not cached", async () => {
      await using served = await serveApp(() => {});
      const { headers } = await fetch(`${served.url}/seed`);
      expect(headers.getSetCookie()).toEqual([expect.stringMatching(/^sid=/)]);
      expect(headers.get("Cache-Control")).toBe("no-store");
    });

    test("a response that clears the cookie is not cached", async () => {
      await using served = await serveApp((ctx) => ctx.session.destroy());
      const browser = new Browser(served);
      await browser.get("/seed");
      const response = await browser.get("/out");
      expect(response.headers.getSetCookie()).toEqual([
        expect.stringMatching(/^sid=; Max-Age=0; /),
      ]);
      expect(response.headers.get("Cache-Control")).toBe("no-store");
    });

    test("the app's own Cache-Control stays", async () => {
      await using served = await serveApp((ctx) => {
        ctx.set("Cache-Control", "private, max-age=5");
        ctx.session.set("n", 1);
        ctx.body = "ok";
      });
      const { headers } = await fetch(served.url);
      expect(headers.get("Cache-Control")).toBe("private, max-age=5");
      expect(headers.has("Set-Cookie")).toBe(true);
    });

    test.each<[string, Handler, string[]]>([
      ["one, by ctx.cookies", (ctx) => ctx.cookies.set("app", "1"), ["app", "sid"]],
      ["several", (ctx) => ctx.set("Set-Cookie", ["a=1", "b=1"]), ["a", "b", "sid"]],
      [
        "one whose name ends alike",
        (ctx) => ctx.set("Set-Cookie", "not-sid=1"),
        ["not-sid", "sid"],
      ],
      ["none", () => {}, ["sid"]],
    ])("the app's own cookies stay: %s", async (_what, set, names) => {
      await using served = await serveApp((ctx) => {
        set(ctx);
        ctx.session.set("n", 1);
        ctx.body = "ok";
      });
      expect(cookieNames(await fetch(served.url)).toSorted()).toEqual(names);
    });
  });

  describe("HTTPS behind a proxy (app.proxy = true)", () => {
    test("writes and reads only the prefixed name", async () => {
      const app = appOf(() => {});
      app.proxy = true;
      await using served = await serve(app);
      const https = { "X-Forwarded-Proto": "https" };
      const browser = new Browser(served);
      const response = await browser.request("/seed", { headers: https });
      expect(response.headers.getSetCookie()).toEqual([
        expect.stringMatching(
          /^__Host-Http-sid=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
        ),
      ]);
      const n = async (init: RequestInit) => (await browser.request("/n", init)).text();
      expect(await n({ headers: https })).toBe("1");
      expect(await n({})).toBe("undefined");

      const id = browser.cookies.get("__Host-Http-sid");
      expect(await n({ headers: { ...https, cookie: `sid=${id}` } })).toBe("undefined");
      expect(await n({ headers: { cookie: `sid=${id}` } })).toBe("1");
    });

    test("without app.proxy the header is not believed", async () => {
      await using served = await serveApp(() => {});
      const response = await fetch(`${served.url}/seed`, {
        headers: { "X-Forwarded-Proto": "https" },
      });
      expect(cookieNames(response)).toEqual(["sid"]);
    });
  });

  test("a request whose body was read to its end is stored and answered", async () => {
    await using served = await serveApp(async (ctx) => {
      ctx.session.set("n", (await text(ctx.req)).length);
      ctx.body = "ok";
    });
    const browser = new Browser(served);
    await browser.request("/post", { method: "POST", body: "x".repeat(100_000) });
    expect(await browser.text("/n")).toBe("100000");
  });

  test("requests in one pipeline of one connection keep to their own sessions", async () => {
    await using served = await serveApp((ctx) => {
      ctx.body = ctx.get("X-Name");
      ctx.session.set("name", ctx.get("X-Name"));
    });
    const names = ["ada", "bob", "cyd", "dan"];
    const socket = connect(Number(new URL(served.url).port), "127.0.0.1");
    socket.write(
      names
        .map(
          (it, i) =>
            `GET /set HTTP/1.1\r\nHost: a\r\nX-Name: ${it}\r\n${i === 3 ? "Connection: close\r\n" : ""}\r\n`,
        )
        .join(""),
    );
    const answers = (await text(socket)).split(/(?=HTTP\/1\.1 200)/);
    expect(answers.map((it) => it.slice(-3))).toEqual(names);
    const ids = answers.map((it) => /sid=([\w-]{43})/.exec(it)?.[1]);
    expect(ids.every((id) => id !== undefined)).toBe(true);
    expect(new Set(ids).size).toBe(4);
  });

  test("a connection that is kept alive gathers no listeners", async () => {
    const counts = new Set<number>();
    await using served = await serveApp((ctx) => {
      const { socket } = ctx.req;
      ctx.session.set("n", ctx.session.getInt("n") + 1);
      counts.add(socket.eventNames().reduce((sum, it) => sum + socket.listenerCount(it), 0));
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 12; i++) {
      const client = request(served.url, { agent }).end();
      const [response] = (await once(client, "response")) as [IncomingMessage];
      await text(response);
    }
    agent.destroy();
    expect(counts.size).toBe(1);
  });

  test("HTTP/2", async () => {
    const callback = appOf((ctx) => {
      ctx.session.set("n", 2);
      ctx.throw(403);
    }).callback();
    const server = createServer((req, res) => void callback(req as never, res as never));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const get = async (path: string, cookie?: string) => {
      const stream = client.request({ ":path": path, ...(cookie !== undefined && { cookie }) });
      const [[head], body] = await Promise.all([once(stream, "response"), text(stream)]);
      return { status: head[":status"], cookies: (head["set-cookie"] ?? []) as string[], body };
    };
    try {
      const first = await get("/fail");
      expect(first.status).toBe(403);
      expect(first.cookies).toHaveLength(1);
      const cookie = first.cookies[0]?.split(";")[0];
      expect(await get("/n", cookie)).toEqual({ status: 200, cookies: [], body: "2" });
      // RFC 9113, 8.2.3: the pairs of Cookie may come in headers of their own.
      expect((await get("/n", `a=b; ${cookie}`)).body).toBe("2");
    } finally {
      client.destroy();
      server.close();
    }
  });

  describe("habits of other packages", () => {
    /** The error of one line of code in a handler. */
    async function errorOf(run: Handler): Promise<Error> {
      const app = appOf(run);
      const failed = Promise.withResolvers<Error>();
      app.on("error", failed.resolve);
      await using served = await serve(app);
      const response = await fetch(served.url);
      expect(response.status).toBe(500);
      expect(response.headers.has("Set-Cookie")).toBe(false);
      return failed.promise;
    }

    test.each<[string, Handler, string]>([
      [
        "ctx.session = null",
        (ctx) => {
          ctx.session = null as never;
        },
        "to sign out, await ctx.session.destroy()",
      ],
      [
        "ctx.session = undefined",
        (ctx) => {
          ctx.session = undefined as never;
        },
        "to sign out, await ctx.session.destroy()",
      ],
      [
        "ctx.session = {}",
        (ctx) => {
          ctx.session = {} as never;
        },
        "write ctx.session.set(key, value)",
      ],
      [
        "ctx.session.user = 'ada'",
        (ctx) => {
          (ctx.session as never as { user: string }).user = "ada";
        },
        'write ctx.session.set("user", value)',
      ],
      [
        "ctx.session['a b'] = 1",
        (ctx) => {
          (ctx.session as never as Record<string, number>)["a b"] = 1;
        },
        'write ctx.session.set("a b", value)',
      ],
      [
        "ctx.session.maxAge = 1",
        (ctx) => {
          (ctx.session as never as { maxAge: number }).maxAge = 1;
        },
        "write ctx.session.persist(milliseconds)",
      ],
      [
        "Object.assign(ctx.session, { n: 1 })",
        (ctx) => Object.assign(ctx.session, { n: 1 }),
        'write ctx.session.set("n", value)',
      ],
      [
        "ctx.session.namespace('x').n = 1",
        (ctx) => {
          (ctx.session.namespace("xy") as never as { n: number }).n = 1;
        },
        'write entries.set("n", value)',
      ],
    ])("%s throws and says what to write", async (_code, run, hint) => {
      const error = await errorOf(run);
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(hint);
      if (!error.message.includes("can't be assigned")) {
        expect(error.message).toContain("koa-csrf, mount plainSession");
      }
    });

    test.each(["set", "login"] as const)("the method %s can't be replaced", async (name) => {
      const error = await errorOf((ctx) => {
        ctx.session[name] = (() => {}) as never;
      });
      expect(error).toBeInstanceOf(TypeError);
    });

    test("reading what isn't there is undefined, and touches nothing", async () => {
      await using served = await serveApp((ctx) => {
        const loose = ctx.session as never as Record<string, unknown>;
        ctx.body = [loose.user, loose.cookie, loose.then, "user" in loose].map(String);
      });
      const response = await fetch(served.url);
      expect(await response.json()).toEqual(["undefined", "undefined", "undefined", "false"]);
      expect(response.headers.has("Set-Cookie")).toBe(false);
    });

    test("await ctx.session is the session", async () => {
      await using served = await serveApp(async (ctx) => {
        const awaited = await Promise.resolve(ctx.session);
        ctx.body = String(awaited === ctx.session);
      });
      expect(await (await fetch(served.url)).text()).toBe("true");
    });
  });

  describe("the id is not shown", () => {
    const shows: [string, (value: unknown) => string][] = [
      ["util.inspect", (value) => inspect(value, { depth: 10 })],
      [
        "util.inspect of what is hidden",
        (value) => inspect(value, { depth: 10, showHidden: true }),
      ],
      ["console.dir", (value) => inspect(value, { depth: 10, customInspect: false })],
      ["JSON.stringify", (value) => JSON.stringify(value) ?? ""],
      ["a copy", (value) => inspect({ ...(value as object) }, { depth: 10 })],
    ];
    const clone: [string, (value: unknown) => string] = [
      "structuredClone",
      (value) => inspect(structuredClone(value), { depth: 10, customInspect: false }),
    ];

    test.each([...shows, clone])("by %s of ctx.session", async (_name, show) => {
      let shown = "";
      let id = "";
      await using served = await serveApp(async (ctx) => {
        ctx.session.set("word", "data");
        await ctx.session.commit();
        id = ctx.session.id ?? "";
        shown = show(ctx.session);
      });
      await fetch(served.url);
      expect(id).toMatch(ID);
      expect(shown.includes(id)).toBe(false);
      if (show !== clone[1] && !/dir|copy/.test(_name)) expect(shown).toContain("data");
    });

    test.each(shows)(
      "by %s of ctx, but in the headers that Koa itself shows",
      async (_name, show) => {
        let shown = "";
        let id = "";
        await using served = await serveApp(
          (ctx) => {
            id = ctx.session.id ?? "";
            // Koa and Node show a request's headers; here they are taken away.
            ctx.req.rawHeaders.length = 0;
            delete ctx.req.headers["session-id"];
            shown = show({ ctx, session: ctx.session, state: ctx.state });
            shown += show(ctx);
          },
          { tracker: headerTracker() },
        );
        const seeded = await fetch(`${served.url}/seed`);
        await fetch(served.url, {
          headers: { "Session-ID": seeded.headers.get("Session-ID") ?? "" },
        });
        expect(id).toMatch(ID);
        expect(shown.includes(id)).toBe(false);
      },
    );

    test("limit: ctx shows the request's Cookie header, as Koa does without a session", async () => {
      let shown = "";
      await using served = await serveApp((ctx) => {
        shown = inspect(ctx);
      });
      const browser = new Browser(served);
      await browser.get("/seed");
      await browser.get("/show");
      expect(shown.includes(browser.cookies.get("sid") ?? "none")).toBe(true);
    });
  });
});

test("a manager's session is there under its property only", async () => {
  const [[, App]] = koaVersions as [(typeof koaVersions)[number]];
  const app = new App();
  const sessions = createSessions({ property: "visit" });
  app.use(sessions.middleware());
  app.use((ctx) => {
    ctx.body = [typeof ctx.visit, typeof ctx.session];
  });
  await using served = await serve(app);
  expect(await (await fetch(served.url)).json()).toEqual(["object", "undefined"]);
});
