import { Readable } from "node:stream";
import { createSessions } from "@lanai/session";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { listen, type Routes, type Site, site, siteOn } from "./site.ts";
import { gate, hold, type Method } from "./steered-store.ts";

const routes: Routes = {
  "/login": (ctx) => ctx.session.login("ada"),
  "/set": (ctx) => void ctx.session.set("a", 1),
  "/": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
};

const read = async (browser: Browser): Promise<unknown> => (await browser.get("/")).json();

describe.each(koaVersions)("on %s, when a handler throws", (_version, App) => {
  test.each(["a new visitor", "a known one"])(
    "S9: %s keeps the message and the cookie over a 403",
    async (who) => {
      await using it = await site(
        {
          ...routes,
          "/forbidden": (ctx) => {
            ctx.session.set("flash", "not for you");
            ctx.throw(403);
          },
        },
        { App },
      );
      const browser = it.browser();
      if (who === "a known one") await browser.get("/login");
      const { cookie } = browser;
      const response = await browser.get("/forbidden");
      expect(response.status).toBe(403);
      expect(response.headers.get("vary")).toBe("Cookie");
      expect(await read(browser)).toMatchObject({ flash: "not for you" });
      if (cookie) expect(response.headers.getSetCookie()).toEqual([]);
      else expect(response.headers.get("cache-control")).toBe("no-store");
    },
  );

  test("S9: a login, a renewal and a sign-out survive the error after them", async () => {
    await using it = await site(
      {
        ...routes,
        "/login": (ctx) => {
          ctx.session.login("ada");
          ctx.throw(500);
        },
        "/renew": (ctx) => {
          ctx.session.renewId();
          ctx.throw(500);
        },
        "/out": async (ctx) => {
          await ctx.session.destroy();
          ctx.throw(500);
        },
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/login");
    expect(await read(browser)).toEqual({ user: "ada" });
    const { cookie } = browser;
    await browser.get("/renew");
    expect(browser.cookie).not.toBe(cookie);
    expect(await read(browser)).toEqual({ user: "ada" });
    expect((await browser.get("/out")).status).toBe(500);
    expect(browser.cookies.size).toBe(0);
    expect(it.memory.size).toBe(0);
  });

  test("S9: one error object thrown for two visitors gives each their own cookie", async () => {
    const shared = Object.assign(new Error("no"), { status: 403, expose: true });
    const door = gate();
    let arrived = 0;
    await using it = await site(
      {
        ...routes,
        "/forbidden": async (ctx) => {
          ctx.session.set("name", ctx.query.name);
          if (++arrived === 2) door.open();
          await door.pass();
          throw shared;
        },
      },
      { App },
    );
    const [one, two] = [it.browser(), it.browser()];
    const responses = await Promise.all([
      one.get("/forbidden?name=one"),
      two.get("/forbidden?name=two"),
    ]);
    for (const response of responses) {
      expect(response.status).toBe(403);
      expect(response.headers.getSetCookie()).toHaveLength(1);
    }
    expect(one.cookie).not.toBe(two.cookie);
    expect(await read(one)).toEqual({ user: null, name: "one" });
    expect(await read(two)).toEqual({ user: null, name: "two" });
    expect(Reflect.ownKeys(shared).sort()).toEqual(["expose", "message", "stack", "status"]);
    const third = await it.browser().get("/nowhere");
    expect(third.headers.getSetCookie()).toEqual([]);
  });

  test("S9: a thrown error isn't written to", async () => {
    const written: unknown[] = [];
    const headers = Object.freeze({ "x-of-the-app": "1" });
    const shared = new Proxy(Object.assign(new Error("no"), { status: 403, headers }), {
      defineProperty(target, name, descriptor) {
        written.push(name);
        return Reflect.defineProperty(target, name, descriptor);
      },
    });
    await using it = await site(
      {
        ...routes,
        "/forbidden": (ctx) => {
          ctx.session.set("flash", "hi");
          throw shared;
        },
      },
      { App },
    );
    const browser = it.browser();
    const response = await browser.get("/forbidden");
    expect(response.headers.get("x-of-the-app")).toBe("1");
    expect(await read(browser)).toMatchObject({ flash: "hi" });
    // That one is Koa's own.
    expect(written).toEqual(["status"]);
  });

  test.each([
    ["a string", "no way"],
    ["a number", 42],
    ["an object", { not: "an error" }],
  ])("S9: what was set survives %s that was thrown", async (_what, thrown) => {
    await using it = await site(
      {
        ...routes,
        "/throw": (ctx) => {
          ctx.session.set("flash", "hi");
          throw thrown;
        },
      },
      { App },
    );
    const browser = it.browser();
    expect((await browser.get("/throw")).status).toBe(500);
    expect(await read(browser)).toMatchObject({ flash: "hi" });
  });

  test.each([
    ["a frozen error", Object.freeze(new Error("no"))],
    ["undefined", undefined],
    ["null", null],
    ["a string", "no way"],
  ])("S9: %s reaches the app's own error handler as it was thrown", async (_what, thrown) => {
    const caught: unknown[] = [];
    await using it = await site(
      {
        ...routes,
        "/throw": (ctx) => {
          ctx.session.set("flash", "hi");
          throw thrown;
        },
      },
      {
        App,
        above: async (ctx, next) => {
          try {
            await next();
          } catch (error) {
            caught.push(error);
            ctx.status = 403;
          }
        },
      },
    );
    const browser = it.browser();
    expect((await browser.get("/throw")).status).toBe(403);
    expect(caught).toHaveLength(1);
    expect(caught[0]).toBe(thrown);
    expect(await read(browser)).toMatchObject({ flash: "hi" });
  });

  test("S9: a middleware above that throws after the session loses nothing", async () => {
    await using it = await site(routes, {
      App,
      above: async (ctx, next) => {
        await next();
        if (ctx.path === "/set") ctx.throw(418);
      },
    });
    const browser = it.browser();
    expect((await browser.get("/set")).status).toBe(418);
    expect(await read(browser)).toMatchObject({ a: 1 });
  });

  test("S9: a middleware above that answers an error itself sends the cookie once", async () => {
    await using it = await site(
      {
        ...routes,
        "/throw": (ctx) => {
          ctx.session.set("a", 1);
          ctx.throw(403, "no");
        },
      },
      {
        App,
        above: async (ctx, next) => {
          try {
            await next();
          } catch {
            ctx.status = 200;
            ctx.body = "handled";
          }
        },
      },
    );
    const browser = it.browser();
    const response = await browser.get("/throw");
    expect(await response.text()).toBe("handled");
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(await read(browser)).toMatchObject({ a: 1 });
  });

  test("S9: a middleware below that throws is a handler that throws", async () => {
    await using it = await site(routes, {
      App,
      below: async (ctx, next) => {
        await next();
        if (ctx.path === "/set") ctx.throw(400);
      },
    });
    const browser = it.browser();
    expect((await browser.get("/set")).status).toBe(400);
    expect(await read(browser)).toMatchObject({ a: 1 });
  });

  test("S9: cookies of the app fall with the error as Koa has it, the session's stays", async () => {
    await using it = await site(
      {
        "/throw": (ctx) => {
          ctx.cookies.set("theme", "dark");
          ctx.session.set("a", 1);
          ctx.throw(403);
        },
      },
      { App },
    );
    const response = await it.browser().get("/throw");
    expect(response.headers.getSetCookie()).toEqual([expect.stringMatching(/^sid=/)]);
  });

  test("S9: if handler and store both fail, the handler's error is seen and the store's is told", async () => {
    await using it = await site(
      {
        "/throw": (ctx) => {
          ctx.session.set("a", 1);
          ctx.throw(403, "not for you");
        },
      },
      { App },
    );
    it.store.around = () => {
      throw new Error("down");
    };
    const response = await it.browser().get("/throw");
    expect(response.status).toBe(403);
    expect(await response.text()).toBe("not for you");
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(it.errors).toMatchObject([
      { code: "ERR_SESSION_STORE_UNAVAILABLE", status: 503 },
      { message: "not for you" },
    ]);
  });

  test("S9: the error of a failed sign-out is told once", async () => {
    await using it = await site({ ...routes, "/out": (ctx) => ctx.session.destroy() }, { App });
    const browser = it.browser();
    await browser.get("/login");
    it.store.around = (method, call) => {
      if (method === "destroy") throw new Error("down");
      return call();
    };
    expect((await browser.get("/out")).status).toBe(503);
    expect(it.errors).toHaveLength(1);
  });
});

/** The ways of a store to be away. */
const outages: [string, () => Promise<never>][] = [
  ["rejects", () => Promise.reject(new Error("connection refused"))],
  [
    "throws",
    () => {
      throw new Error("not connected");
    },
  ],
  ["never answers", () => new Promise(() => {})],
  ["rejects with nothing", () => Promise.reject()],
];

describe.each(koaVersions)("on %s", (_version, App) => {
  const site = siteOn(App);

  describe.each(outages)("a store that %s", (_how, outage) => {
    const work: Routes = {
      ...routes,
      "/out": (ctx) => ctx.session.destroy(),
      "/out-unawaited": (ctx) => {
        void ctx.session.destroy();
        ctx.redirect("/");
      },
      "/out-caught": async (ctx) => {
        await ctx.session.destroy().catch(() => {});
        return "signed out";
      },
      "/count": (ctx) => ctx.session.update("count", () => 1),
      "/pop": (ctx) => ctx.session.pop("a"),
      "/commit": (ctx) => ctx.session.set("a", 2).commit(),
      "/reload": (ctx) => ctx.session.reload(),
      "/change": (ctx) => void ctx.session.set("a", 2),
      "/without": () => "no session here",
    };
    const down = (it: Site, away: Method) => {
      it.store.around = (method, call) => (method === away ? outage() : call());
    };

    test.each<[Method, string]>([
      ["load", "/"],
      ["load", "/without"],
      ["create", "/set"],
      ["commit", "/change"],
      ["commit", "/login"],
      ["commit", "/count"],
      ["commit", "/pop"],
      ["commit", "/commit"],
      ["load", "/reload"],
      ["destroy", "/out"],
      ["destroy", "/out-unawaited"],
      ["destroy", "/out-caught"],
    ])("S10: at %s (%s) is a 503 with a typed error and no cookie", async (away, path) => {
      using heard = listen();
      await using it = await site(work, { storeTimeout: 20 });
      const browser = it.browser();
      if (away !== "create") {
        await browser.get("/set");
        await browser.get("/login");
      }
      const { cookie } = browser;
      down(it, away);
      const response = await browser.get(path);
      expect(response.status).toBe(503);
      expect(await response.text()).toBe("Service Unavailable");
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(it.errors).toHaveLength(1);
      for (const error of it.errors) {
        const code = "ERR_SESSION_STORE_UNAVAILABLE";
        expect(error).toMatchObject({ name: "SessionError", code, status: 503, expose: false });
      }
      const told = heard.events.filter(({ name }) => name === "unavailable");
      expect(new Set(told.map(({ event }) => event.error))).toEqual(new Set(it.errors));
      expect(told[0]?.event).toMatchObject({ level: "error", property: "session" });

      // Nothing was pretended: when it is back, all is as it was.
      it.store.around = (_method, call) => call();
      expect(browser.cookie).toBe(cookie);
      expect(await read(browser)).toEqual(
        away === "create" ? { user: null } : { user: "ada", a: 1 },
      );
    });

    test("S10: doesn't touch the lazy routes that don't ask", async () => {
      await using it = await site(
        {
          "/set": async (ctx) => void (await ctx.session.load()).set("a", 1),
          "/without": () => "no session here",
          "/with": async (ctx) => (await ctx.session.load()).toJSON(),
        },
        { load: "lazy", storeTimeout: 20 },
      );
      const browser = it.browser();
      await browser.get("/set");
      down(it, "load");
      expect(await browser.text("/without")).toBe("no session here");
      expect((await browser.get("/with")).status).toBe(503);
    });

    test("S10: is an error also for list, destroyAll and open", async () => {
      await using it = await site(work, { storeTimeout: 20 });
      it.store.around = outage;
      const unavailable = { code: "ERR_SESSION_STORE_UNAVAILABLE" };
      const { sessions } = it;
      await expect(sessions.list({ user: "ada" })).rejects.toMatchObject(unavailable);
      await expect(sessions.destroyAll({ user: "ada" })).rejects.toMatchObject(unavailable);
      await expect(sessions.destroyByPublicId({ user: "ada" }, "x")).rejects.toMatchObject(
        unavailable,
      );
      await expect(sessions.open("A".repeat(43))).rejects.toMatchObject(unavailable);
      await expect(sessions.create({ userId: "ada" })).rejects.toMatchObject(unavailable);
    });
  });

  test("S10: a store that answers after its time answers nobody", async () => {
    await using it = await site(routes, { storeTimeout: 5 });
    const browser = it.browser();
    const door = hold(it.store, "create");
    expect((await browser.get("/set")).status).toBe(503);
    door.open();
    expect(browser.cookies.size).toBe(0);
    await browser.get("/set");
    expect(await read(browser)).toEqual({ user: null, a: 1 });
  });
});

describe.each(koaVersions)("on %s, after the head has left", (_version, App) => {
  /** An app whose handler goes on after its response head has left, and reports what it met. */
  const late = async (write: (ctx: Koa.Context) => unknown, how: string) => {
    const met: unknown[] = [];
    const it = await site(
      {
        ...routes,
        "/late": async (ctx) => {
          const attempt = async () => {
            try {
              await write(ctx);
              met.push("nothing");
            } catch (error) {
              met.push((error as { code?: unknown }).code ?? error);
            }
          };
          if (how === "a stream") {
            ctx.body = Readable.from(
              (async function* () {
                yield "first";
                await attempt();
                yield "second";
              })(),
            );
            return;
          }
          if (how === "ctx.respond = false") ctx.respond = false;
          ctx.res.writeHead(200, { "content-type": "text/plain" });
          ctx.res.write("first");
          if (how === "res.end") await new Promise<void>((done) => ctx.res.end("second", done));
          await attempt();
          if (how !== "res.end") ctx.res.end("second");
        },
      },
      { App },
    );
    return { it, met, [Symbol.asyncDispose]: () => it[Symbol.asyncDispose]() };
  };

  describe.each(["a stream", "ctx.respond = false", "res.end"])("by %s", (how) => {
    test.each<[string, (ctx: Koa.Context) => unknown]>([
      ["set", (ctx) => ctx.session.set("late", 1)],
      ["delete", (ctx) => ctx.session.delete("a")],
      ["login", (ctx) => ctx.session.login("eve")],
      ["renewId", (ctx) => ctx.session.renewId()],
      ["persist", (ctx) => ctx.session.persist(60_000)],
      ["addOwner", (ctx) => ctx.session.addOwner("team:a")],
      ["destroy", (ctx) => ctx.session.destroy()],
      ["update", (ctx) => ctx.session.update("late", () => 1)],
      ["pop", (ctx) => ctx.session.pop("a")],
      ["commit", (ctx) => ctx.session.commit()],
      ["a namespace's set", (ctx) => ctx.session.namespace("notes").set("late", 1)],
    ])("S11: %s is ERR_SESSION_SENT, and stores nothing", async (_name, write) => {
      await using at = await late(write, how);
      const browser = at.it.browser();
      await browser.get("/set");
      await browser.get("/login");
      at.it.store.calls.length = 0;
      expect(await browser.text("/late")).toBe("firstsecond");
      expect(at.met).toEqual(["ERR_SESSION_SENT"]);
      expect(at.it.store.calls).toEqual(["load"]);
      expect(await read(browser)).toEqual({ user: "ada", a: 1 });
    });

    test("S11: reading goes on", async () => {
      await using at = await late((ctx) => ctx.session.get("a"), how);
      const browser = at.it.browser();
      await browser.get("/set");
      expect(await browser.text("/late")).toBe("firstsecond");
      expect(at.met).toEqual(["nothing"]);
      expect(at.it.errors).toEqual([]);
    });
  });

  test("S11: what was set in time is stored, though the app sent the head itself", async () => {
    await using it = await site(
      {
        ...routes,
        "/own": (ctx) => {
          ctx.session.set("b", 2);
          ctx.respond = false;
          ctx.res.end("sent");
        },
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/set");
    expect(await browser.text("/own")).toBe("sent");
    await expect.poll(() => read(browser)).toEqual({ user: null, a: 1, b: 2 });
    expect(it.errors).toEqual([]);
  });

  test.each(["set", "login", "renewId"])(
    "S11: %s needs the head: ERR_SESSION_SENT and nothing stored where the app sent it itself",
    async (what) => {
      await using it = await site(
        {
          ...routes,
          "/own": (ctx) => {
            if (what === "set") ctx.session.set("b", 2);
            if (what === "login") ctx.session.login("eve");
            if (what === "renewId") ctx.session.renewId();
            ctx.respond = false;
            ctx.res.end("sent");
          },
        },
        { App },
      );
      const browser = it.browser();
      // A new session would never reach its browser; one that lives would lose it.
      if (what !== "set") await browser.get("/set");
      const size = it.memory.size;
      const response = await browser.get("/own");
      expect(await response.text()).toBe("sent");
      expect(response.headers.getSetCookie()).toEqual([]);
      await expect.poll(() => it.errors).toMatchObject([{ code: "ERR_SESSION_SENT" }]);
      expect(it.memory.size).toBe(size);
      if (what !== "set") expect(await read(browser)).toEqual({ user: null, a: 1 });
    },
  );

  test("S11: a commit before the head leaves sends the cookie on a response of the app's own", async () => {
    await using it = await site(
      {
        ...routes,
        "/own": async (ctx) => {
          ctx.session.set("b", 2);
          await ctx.session.commit();
          ctx.respond = false;
          ctx.res.writeHead(200, { "x-own": "1", "set-cookie": "theme=dark" });
          ctx.res.end("sent");
        },
      },
      { App },
    );
    const browser = it.browser();
    const response = await browser.get("/own");
    expect(response.headers.get("x-own")).toBe("1");
    expect(browser.cookies.get("theme")).toBe("dark");
    expect(await read(browser)).toEqual({ user: null, b: 2 });
  });

  test("S11: a response that the app sends later, by ctx.respond = false, bears the cookie", async () => {
    const door = gate();
    await using it = await site(
      {
        ...routes,
        "/later": (ctx) => {
          ctx.session.set("b", 2);
          ctx.respond = false;
          void door.pass().then(() => ctx.res.end("sent"));
        },
      },
      {
        App,
        above: async (_ctx, next) => {
          await next();
          door.open();
        },
      },
    );
    const browser = it.browser();
    expect(await browser.text("/later")).toBe("sent");
    expect(await read(browser)).toEqual({ user: null, b: 2 });
  });

  test.each([
    ["a HEAD request", { method: "HEAD" }, 200],
    ["a 304", { headers: { "if-none-match": '"x"', "cache-control": "max-age=0" } }, 304],
  ])("%s sends the cookie as any other", async (_what, init, status) => {
    await using it = await site(
      {
        ...routes,
        "/page": (ctx) => {
          ctx.session.set("a", 1);
          ctx.set("etag", '"x"');
          ctx.body = "page";
          if (ctx.fresh) ctx.status = 304;
        },
      },
      { App },
    );
    const browser = it.browser();
    const response = await browser.request("/page", init);
    expect(response.status).toBe(status);
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(await read(browser)).toMatchObject({ a: 1 });
  });

  test("a streamed body leaves after the save", async () => {
    await using it = await site(
      {
        ...routes,
        "/stream": (ctx) => {
          ctx.session.set("a", 1);
          ctx.body = Readable.from(["streamed"]);
        },
      },
      { App },
    );
    const browser = it.browser();
    expect(await browser.text("/stream")).toBe("streamed");
    expect(await read(browser)).toMatchObject({ a: 1 });
  });

  test("S11: a middleware above can't write any more once the session is saved", async () => {
    const met: unknown[] = [];
    await using it = await site(routes, {
      App,
      above: async (ctx, next) => {
        await next();
        if (ctx.path !== "/set") return;
        try {
          ctx.session.set("late", 1);
        } catch (error) {
          met.push((error as { code: string }).code);
        }
      },
    });
    const browser = it.browser();
    await browser.get("/set");
    expect(met).toEqual(["ERR_SESSION_SENT"]);
    expect(await read(browser)).toEqual({ user: null, a: 1 });
  });

  test("S11: what a request leaves running after its answer can't write", async () => {
    const door = gate();
    const met: unknown[] = [];
    await using it = await site(
      {
        ...routes,
        "/leave": (ctx) => {
          void door.pass().then(() => {
            try {
              ctx.session.set("late", 1);
            } catch (error) {
              met.push((error as { code: string }).code);
            }
          });
        },
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/login");
    await browser.get("/leave");
    door.open();
    await expect.poll(() => met).toEqual(["ERR_SESSION_SENT"]);
    expect(await read(browser)).toEqual({ user: "ada" });
  });
});

describe("sessions.open", () => {
  test("S11: writes for a handler that outlives its response, and sends nothing", async () => {
    await using it = await site({
      ...routes,
      "/live": (ctx) => {
        const id = String(ctx.session.id);
        ctx.body = Readable.from(
          (async function* () {
            yield "first";
            const session = await it.sessions.open(id);
            await session?.set("late", 1).commit();
            await session?.update("count", (count) => Number(count ?? 0) + 1);
            yield "second";
          })(),
        );
      },
    });
    const browser = it.browser();
    await browser.get("/login");
    const response = await browser.get("/live");
    expect(await response.text()).toBe("firstsecond");
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(await read(browser)).toEqual({ user: "ada", late: 1, count: 1 });
  });

  test("a session that is opened follows renewals, and learns of its end", async () => {
    await using it = await site({
      ...routes,
      "/renew": (ctx) => ctx.session.renewId(),
      "/out": (ctx) => ctx.session.destroy(),
    });
    const browser = it.browser();
    await browser.get("/login");
    const opened = await it.sessions.open(browser.cookies.get("sid") ?? "");
    if (!opened) throw new Error("not there");
    await browser.get("/renew");
    await opened.set("late", 1).commit();
    await opened.set("later", 2).commit();
    expect(opened.id).toBe(undefined);
    expect(await read(browser)).toEqual({ user: "ada", late: 1, later: 2 });
    await browser.get("/out");
    await expect(opened.set("more", 1).commit()).rejects.toMatchObject({
      code: "ERR_SESSION_GONE",
    });
    await expect(opened.commit()).rejects.toMatchObject({ code: "ERR_SESSION_GONE" });
    expect(it.memory.size).toBe(0);
  });

  test("answers undefined for what isn't there, and asks no store for what can't be", async () => {
    await using it = await site(routes);
    expect(await it.sessions.open("nonsense")).toBe(undefined);
    expect(await it.sessions.open("")).toBe(undefined);
    expect(it.store.calls).toEqual([]);
    expect(await it.sessions.open("A".repeat(43))).toBe(undefined);
    expect(it.store.calls).toEqual(["load"]);
    const { session } = await it.sessions.create({ userId: "ada" });
    const { id = "" } = session;
    await it.sessions.destroyAll({ user: "ada" });
    expect(await it.sessions.open(id)).toBe(undefined);
  });

  test("a session that is opened can sign its user out", async () => {
    await using it = await site(routes);
    const browser = it.browser();
    await browser.get("/login");
    const opened = await it.sessions.open(browser.cookies.get("sid") ?? "");
    await opened?.destroy();
    expect(await read(browser)).toEqual({ user: null });
  });
});

test("a session without its middleware is an error that says so", async () => {
  const sessions = createSessions();
  const app = new Koa();
  const errors: unknown[] = [];
  app.on("error", (error) => errors.push(error));
  app.use((ctx) => {
    sessions.from(ctx);
  });
  await using served = await serve(app);
  expect((await new Browser(served).get("/")).status).toBe(500);
  expect(errors).toMatchObject([{ code: "ERR_SESSION_NO_MIDDLEWARE" }]);
});
