import { flash } from "@lanai/flash";
import { createSessions } from "@lanai/session";
import Koa, { type Context } from "koa";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "../../session/test/http.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { type Site, site } from "../../session/test/site.ts";
import { hold } from "../../session/test/steered-store.ts";

const routes: Record<string, (ctx: Context) => unknown> = {
  "/save": (ctx) => {
    ctx.flash("Saved", "success");
    ctx.redirect("/page");
  },
  "/leave": (ctx) => ctx.flash(String(ctx.query.text)),
  "/leave-three": (ctx) => {
    for (const n of [1, 2, 3]) ctx.flash(n);
  },
  "/refuse": (ctx) => {
    ctx.flash.error("Not for you");
    ctx.throw(403);
  },
  "/page": (ctx) => ctx.flash.pop(),
  "/page-without": () => "a page",
  "/peek": (ctx) => ctx.flash.peek(),
};

const flashing = (options = {}): Promise<Site> => site(routes, { below: flash(), ...options });

const texts = (json: string): unknown[] =>
  JSON.parse(json).map(({ message }: { message: unknown }) => message);

describe("F1: once means once", () => {
  test.each(koaVersions)(
    "F1: after a POST and its redirect a message is shown, and gone on reload (%s)",
    async (_version, App) => {
      await using it = await flashing({ App });
      const browser = it.browser();
      const answer = await browser.post("/save");
      expect(answer.status).toBe(302);
      const next = answer.headers.get("location") ?? "";
      expect(await browser.text(next)).toBe('[{"level":"success","message":"Saved"}]');
      expect(await browser.text(next)).toBe("[]");
    },
  );

  test("F1: of two requests that have both seen the messages one gets them all", async () => {
    await using it = await flashing();
    const browser = it.browser();
    await browser.get("/leave-three");
    const door = hold(it.store, "commit");
    const slow = browser.text("/page");
    await door.reached;
    expect(texts(await browser.text("/page"))).toEqual([1, 2, 3]);
    door.open();
    expect(await slow).toBe("[]");
  });

  test("F1: what comes while a pop is under way waits for the next one", async () => {
    await using it = await flashing();
    const browser = it.browser();
    await browser.get("/leave?text=early");
    const door = hold(it.store, "commit");
    const slow = browser.text("/page");
    await door.reached;
    await browser.get("/leave?text=late");
    door.open();
    expect(texts(await slow)).toEqual(["early"]);
    expect(texts(await browser.text("/page"))).toEqual(["late"]);
  });

  test("F1: two requests that leave a message at once both do", async () => {
    await using it = await flashing();
    const browser = it.browser();
    await browser.get("/leave?text=first");
    const door = hold(it.store, "commit");
    const slow = browser.text("/leave?text=slow");
    await door.reached;
    await browser.get("/leave?text=fast");
    door.open();
    await slow;
    const [first, ...both] = texts(await browser.text("/page"));
    expect(first).toBe("first");
    expect(both.sort()).toEqual(["fast", "slow"]);
  });

  test.each([
    ["a visitor with a session", true],
    ["a first-time visitor", false],
  ])("F1: a message left before a 403 is on the next page, for %s", async (_who, known) => {
    await using it = await flashing();
    const browser = it.browser();
    if (known) await browser.get("/leave?text=first");
    expect((await browser.get("/refuse")).status).toBe(403);
    expect(texts(await browser.text("/page"))).toEqual(
      known ? ["first", "Not for you"] : ["Not for you"],
    );
    expect(await browser.text("/page")).toBe("[]");
  });

  test("F1: a message survives a sign-in, and is nobody else's after a change of users", async () => {
    const signIn = (ctx: Context) => ctx.session.login(String(ctx.query.as));
    const more = { ...routes, "/sign-in": signIn };
    await using it = await site(more, { below: flash() });
    const browser = it.browser();
    await browser.get("/leave?text=before");
    await browser.get("/sign-in?as=ada");
    expect(texts(await browser.text("/peek"))).toEqual(["before"]);
    await browser.get("/sign-in?as=bob");
    expect(await browser.text("/page")).toBe("[]");
  });
});

describe("F2: falsy messages and hostile levels round-trip", () => {
  const hostile = [
    ...["", "0", "constructor", "__proto__", "prototype", "toString", "hasOwnProperty", "length"],
    ...["name", "call", "then", "toJSON", "info", "now", "pop", "flash:", "d:", "s:user", "~date"],
    ...["\0", "\n", "\ud800", "💬", " ", ".", "a".repeat(10_000)],
  ];

  test("F2: as messages", async () => {
    const messages = [0, 0n, false, true, -1.5, 10n ** 30n, ...hostile];
    const leave = (ctx: Context) => {
      for (const message of messages) ctx.flash(message);
    };
    const check = async (ctx: Context) => {
      expect(await ctx.flash.pop()).toEqual(
        messages.map((message) => ({ level: "info", message })),
      );
      return "checked";
    };
    await using it = await site({ "/leave": leave, "/check": check }, { below: flash() });
    const browser = it.browser();
    await browser.get("/leave");
    expect(await browser.text("/check")).toBe("checked");
    expect(it.errors).toEqual([]);
  });

  test("F2: as levels, each popped by its own name alone", async () => {
    const leave = (ctx: Context) => {
      for (const level of hostile) ctx.flash(`of ${level}`, level);
      for (const level of hostile) ctx.flash("", level, level);
    };
    const check = async (ctx: Context) => {
      for (const level of hostile) {
        const its = [
          { level, message: `of ${level}` },
          { level, message: "", data: level },
        ];
        expect(ctx.flash.peek(level)).toEqual(its);
        expect(await ctx.flash.pop(level)).toEqual(its);
      }
      expect(await ctx.flash.pop()).toEqual([]);
      return "checked";
    };
    await using it = await site({ "/leave": leave, "/check": check }, { below: flash() });
    const browser = it.browser();
    await browser.get("/leave");
    expect(await browser.text("/check")).toBe("checked");
    expect(it.errors).toEqual([]);
  });

  test("F2: as data", async () => {
    const data = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}');
    const leave = (ctx: Context) => ctx.flash("text", "info", data);
    const check = async (ctx: Context) => {
      const [message] = await ctx.flash.pop();
      expect(Object.entries(message?.data ?? {})).toEqual(Object.entries(data));
      expect(({} as { polluted?: unknown }).polluted).toBe(undefined);
      return "checked";
    };
    await using it = await site({ "/leave": leave, "/check": check }, { below: flash() });
    const browser = it.browser();
    await browser.get("/leave");
    expect(await browser.text("/check")).toBe("checked");
  });
});

describe("F3: nothing is taken unless the handler asks", () => {
  test.each([
    ["a HEAD", "/page", { method: "HEAD" }],
    ["a prefetch", "/page", { headers: { "Sec-Purpose": "prefetch" } }],
    ["a prerendering", "/page", { headers: { "Sec-Purpose": "prefetch;prerender" } }],
    ["an older prefetch", "/page", { headers: { Purpose: "prefetch" } }],
    ["Turbo's prefetch", "/page", { headers: { "X-Sec-Purpose": "prefetch" } }],
    ["a preview", "/page", { headers: { "X-Purpose": "preview" } }],
    ["Next.js's prefetch", "/page", { headers: { "Next-Router-Prefetch": "1" } }],
    [
      "Next.js's prefetch of a segment",
      "/page",
      { headers: { "Next-Router-Segment-Prefetch": "/_" } },
    ],
    ["Next.js's older prefetch", "/page", { headers: { "X-Middleware-Prefetch": "1" } }],
    ["a framework's own prefetch", "/page", { headers: { "X-App-Prefetch": "true" } }],
    ["a framework's own purpose", "/page", { headers: { "X-App-Purpose": "prerender" } }],
    [
      "a prefetch by a proxy",
      "/page",
      { headers: { "Sec-Purpose": "prefetch;anonymous-client-ip" } },
    ],
    ["Inertia's prefetch", "/page", { headers: { Purpose: "prefetch", "X-Inertia": "true" } }],
    ["htmx's preload", "/page", { headers: { "HX-Preloaded": "true" } }],
    ["Firefox's older prefetch", "/page", { headers: { "X-Moz": "prefetch" } }],
    ["a page that doesn't ask", "/page-without", {}],
    ["a page that peeks", "/peek", {}],
    ["an asset, or what isn't there", "/style.css", {}],
  ] as const)("F3: %s leaves the message", async (_what, path, init) => {
    await using it = await flashing();
    const browser = it.browser();
    await browser.get("/leave?text=it");
    it.store.calls.length = 0;
    await browser.request(path, init);
    expect(it.store.calls).toEqual(["load"]);
    expect(texts(await browser.text("/page"))).toEqual(["it"]);
  });

  test.each([
    { Purpose: "navigate" },
    { "X-App-Prefetch": "0" },
    { "X-App-Prefetch": "false" },
    { "X-Prefetch-Count": "3" },
    { Referer: "https://app.example/prefetch" },
  ])("F3: a page with %o is shown, and takes the message", async (headers) => {
    await using it = await flashing();
    const browser = it.browser();
    await browser.get("/leave?text=it");
    const shown = await browser.request("/page", { headers: headers as Record<string, string> });
    expect(texts(await shown.text())).toEqual(["it"]);
  });

  test("F3: a prefetch shows nothing, for it may be looked at much later, or twice", async () => {
    await using it = await flashing();
    const browser = it.browser();
    await browser.get("/leave?text=it");
    const prefetch = { headers: { "Sec-Purpose": "prefetch" } };
    expect(await (await browser.request("/page", prefetch)).text()).toBe("[]");
  });
});

describe("F4: asking when there is none", () => {
  test("F4: sets no cookie and asks no store, for a stranger", async () => {
    await using it = await flashing();
    for (const path of ["/page", "/peek"]) {
      const answer = await it.browser().get(path);
      expect(await answer.text()).toBe("[]");
      expect(answer.headers.getSetCookie()).toEqual([]);
    }
    expect(it.store.calls).toEqual([]);
  });

  test("F4: writes nothing, for a visitor with a session", async () => {
    const set = (ctx: Context) => ctx.session.set("a", 1);
    await using it = await site({ ...routes, "/set": set }, { below: flash() });
    const browser = it.browser();
    await browser.get("/set");
    it.store.calls.length = 0;
    for (const path of ["/page", "/peek"]) {
      expect((await browser.get(path)).headers.getSetCookie()).toEqual([]);
    }
    expect(it.store.calls).toEqual(["load", "load"]);
  });

  test("F4: flash() mounted and not used reads no session: no load, no Vary", async () => {
    await using it = await flashing({ load: "lazy" });
    const browser = it.browser();
    browser.cookies.set("sid", "x".repeat(43));
    const answer = await browser.get("/page-without");
    expect(answer.headers.get("vary")).toBe(null);
    expect(it.store.calls).toEqual([]);
  });
});

describe("a lazy session", () => {
  test("is loaded by pop, and by nothing else", async () => {
    const load = async (ctx: Context) => {
      await ctx.session.load();
      ctx.flash("text");
    };
    await using it = await site({ ...routes, "/load": load }, { below: flash(), load: "lazy" });
    const browser = it.browser();
    await browser.get("/load");
    expect(texts(await browser.text("/page"))).toEqual(["text"]);

    expect((await browser.get("/leave?text=it")).status).toBe(500);
    expect((await browser.get("/peek")).status).toBe(500);
    expect(it.errors).toMatchObject(Array(2).fill({ code: "ERR_SESSION_NOT_LOADED" }));
  });

  test("of a route with preload has messages as any other", async () => {
    const sessions = createSessions({ load: "lazy" });
    const app = new Koa();
    for (const each of [sessions.middleware(), sessions.preload(), flash()]) app.use(each);
    app.use(async (ctx) => {
      ctx.body = (await routes[ctx.path]?.(ctx)) ?? "";
    });
    await using served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/leave?text=it");
    expect(texts(await browser.text("/page"))).toEqual(["it"]);
  });
});
