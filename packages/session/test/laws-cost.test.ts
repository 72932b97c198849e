import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import type { Session } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { keyOf, listen, site } from "./site.ts";
import { hold } from "./steered-store.ts";

const HOUR = 60 * 60_000;
const cookieOf = (id: string) => ({ headers: { cookie: `sid=${id}` } });
const someId = () => randomBytes(32).toString("base64url");

describe.each(koaVersions)("on %s, what a request costs", (_version, App) => {
  test("S1: no token and nothing set is no store call, no cookie and no Vary", async () => {
    await using it = await site({ "/": () => "hello" }, { App });
    const response = await it.browser().get("/");
    expect(response.status).toBe(200);
    expect(it.store.calls).toEqual([]);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(response.headers.has("vary")).toBe(false);
    expect(response.headers.has("cache-control")).toBe(false);
  });

  test("S1: reading what isn't there varies by Cookie, and costs nothing else", async () => {
    await using it = await site({ "/": (ctx) => ctx.session.getString("name", "nobody") }, { App });
    const response = await it.browser().get("/");
    expect(await response.text()).toBe("nobody");
    expect(it.store.calls).toEqual([]);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(response.headers.get("vary")).toBe("Cookie");
  });

  test.each<[string, Parameters<typeof site>[0][string]]>([
    ["set and then deleted", (ctx) => ctx.session.set("a", 1).delete("a")],
    ["set and then cleared", (ctx) => ctx.session.set("a", 1).clear()],
    ["set and then popped", (ctx) => ctx.session.set("a", 1).pop("a")],
    ["set and then destroyed", (ctx) => ctx.session.set("a", 1).destroy()],
    ["deleted", (ctx) => ctx.session.delete("a")],
    ["given a new id", (ctx) => ctx.session.renewId()],
    ["given a longer life", (ctx) => ctx.session.persist(HOUR)],
    ["given an owner", (ctx) => ctx.session.addOwner("team:a")],
    ["committed", (ctx) => ctx.session.commit()],
    ["reloaded", (ctx) => ctx.session.reload()],
    ["updated to nothing", (ctx) => ctx.session.update("a", () => undefined)],
  ])("S1: a new session that was only %s is not stored", async (_what, work) => {
    const routes = { "/": async (ctx: Parameters<typeof work>[0]) => void (await work(ctx)) };
    await using it = await site(routes, { App });
    const response = await it.browser().get("/");
    expect(response.status).toBe(204);
    expect(it.store.calls).toEqual([]);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("S1: a session that becomes empty stays", async () => {
    await using it = await site(
      {
        "/set": (ctx) => void ctx.session.set("a", 1),
        "/clear": (ctx) => ctx.session.clear(),
        "/": (ctx) => ({ isNew: ctx.session.isNew, keys: ctx.session.keys() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/set");
    const { cookie } = browser;
    const cleared = await browser.get("/clear");
    expect(cleared.headers.getSetCookie()).toEqual([]);
    expect(browser.cookie).toBe(cookie);
    expect(await (await browser.get("/")).json()).toEqual({ isNew: false, keys: [] });
    expect(it.memory.size).toBe(1);
  });

  test.each([
    ["empty", ""],
    ["too short", "abc"],
    ["one character too long", `${someId()}A`],
    ["of characters that no id has", `${"!".repeat(42)}A`],
    ["another spelling of the same bytes", `${"A".repeat(42)}B`],
    ["a name of every object", "__proto__"],
  ])("S2: a malformed id (%s) costs no store call", async (_what, id) => {
    using heard = listen();
    await using it = await site(
      {
        "/": (ctx) => String(ctx.session.isNew),
        "/set": (ctx) => void ctx.session.set("a", 1),
      },
      { App },
    );
    const read = await it.browser().request("/", cookieOf(id));
    expect(await read.text()).toBe("true");
    expect(it.store.calls).toEqual([]);
    expect(read.headers.getSetCookie()).toEqual([]);
    expect(heard.events).toEqual([
      { name: "refused", event: { level: "warn", property: "session", reason: "malformed" } },
    ]);

    const browser = it.browser();
    await browser.request("/set", cookieOf(id));
    expect(it.store.calls).toEqual(["create"]);
    expect(browser.cookies.get("sid")).toMatch(/^[\w-]{43}$/);
  });

  test("S2: an unknown id is never adopted, and its cookie is left alone until something is set", async () => {
    await using it = await site(
      {
        "/": (ctx) => String(ctx.session.isNew && ctx.session.id),
        "/out": (ctx) => ctx.session.destroy(),
        "/set": (ctx) => void ctx.session.set("a", 1),
      },
      { App },
    );
    const id = someId();
    const browser = it.browser();
    const read = await browser.request("/", cookieOf(id));
    expect(await read.text()).toBe("undefined");
    expect(read.headers.getSetCookie()).toEqual([]);
    expect(it.store.calls).toEqual(["load"]);
    // Only a sign-out clears it (S18).
    const out = await browser.request("/out", cookieOf(id));
    expect(out.headers.getSetCookie()[0]).toMatch(/^sid=; Max-Age=0/);

    await browser.request("/set", cookieOf(id));
    expect(browser.cookies.get("sid")).toMatch(/^[\w-]{43}$/);
    expect(browser.cookies.get("sid")).not.toBe(id);
    expect(it.memory.load(keyOf(id))).toEqual({ status: "none" });
  });

  test("S3: mounted at many levels a session is loaded once and saved once", async () => {
    await using it = await site(
      {
        "/login": (ctx) => ctx.session.login("ada"),
        "/": (ctx) => void ctx.session.set("a", Number(ctx.session.get("a") ?? 0) + 1),
      },
      { App, mounts: 3 },
    );
    const browser = it.browser();
    await browser.get("/login");
    expect(it.store.calls).toEqual(["create"]);
    it.store.calls.length = 0;
    const response = await browser.get("/");
    expect(it.store.calls).toEqual(["load", "commit"]);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("S3: a lazy session is loaded once, however many ask, and not at all if nobody does", async () => {
    await using it = await site(
      {
        "/set": async (ctx) => void (await ctx.session.load()).set("a", 1),
        "/not": () => "asked",
        "/": async (ctx) => {
          await Promise.all([ctx.session.load(), ctx.session.load(), ctx.session.reload()]);
          await ctx.session.load();
          return String(ctx.session.get("a"));
        },
      },
      { App, load: "lazy" },
    );
    const browser = it.browser();
    await browser.get("/set");
    it.store.around = async (_method, call) => call();
    it.store.calls.length = 0;
    await browser.get("/not");
    expect(it.store.calls).toEqual([]);
    expect(await browser.text("/")).toBe("1");
    // The second is the reload's own.
    expect(it.store.calls).toEqual(["load", "load"]);
  });

  test.each<[string, (session: Session) => unknown]>([
    ["get", (session) => session.get("a")],
    ["has", (session) => session.has("a")],
    ["keys", (session) => session.keys()],
    ["id", (session) => session.id],
    ["publicId", (session) => session.publicId],
    ["isNew", (session) => session.isNew],
    ["userId", (session) => session.userId],
    ["owners", (session) => session.owners],
    ["createdAt", (session) => session.createdAt],
    ["expiresAt", (session) => session.expiresAt],
    ["set", (session) => session.set("a", 1)],
    ["login", (session) => session.login("ada")],
  ])("S3: %s of a lazy session that is not loaded is an error that says so", async (_what, ask) => {
    await using it = await site(
      {
        "/too-early": (ctx) => void ask(ctx.session),
        "/": async (ctx) => void ask(await ctx.session.load()),
        "/inspect": (ctx) => inspect(ctx.session),
      },
      { App, load: "lazy" },
    );
    const { headers } = await it.sessions.create({ userId: "ada" });
    const browser = it.browser();
    it.store.calls.length = 0;
    expect((await browser.request("/too-early", { headers })).status).toBe(500);
    expect(it.errors).toMatchObject([
      {
        code: "ERR_SESSION_NOT_LOADED",
        message: expect.stringContaining("await ctx.session.load()"),
      },
    ]);
    expect(await (await browser.request("/inspect", { headers })).text()).toContain("not loaded");
    expect(it.store.calls).toEqual([]);
    expect((await browser.request("/", { headers })).status).toBe(204);
    expect(it.errors).toHaveLength(1);
  });

  test("S4: only what changed is written, in one commit", async () => {
    await using it = await site(
      {
        "/set": (ctx) =>
          void ctx.session
            .set("a", 1)
            .set("b", { deep: [1] })
            .set("c", 3),
        "/same": (ctx) => void ctx.session.set("a", 1).set("b", { deep: [1] }),
        "/read": (ctx) => ctx.session.toJSON(),
        "/back": (ctx) => void ctx.session.set("a", 2).set("a", 1),
        "/change": (ctx) => {
          ctx.session.set("a", 2);
          (ctx.session.get("b") as { deep: number[] }).deep.push(2);
          ctx.session.delete("c");
          ctx.session.namespace("notes").set("1", "hi");
        },
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/set");
    for (const path of ["/same", "/read", "/back"]) {
      it.store.calls.length = 0;
      const response = await browser.get(path);
      expect(it.store.calls).toEqual(["load"]);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
    it.store.calls.length = 0;
    it.store.asked.length = 0;
    await browser.get("/change");
    expect(it.store.calls).toEqual(["load", "commit"]);
    const [, [, change] = []] = it.store.asked;
    expect(change).toEqual({
      operation: expect.any(String),
      publicId: expect.any(String),
      touch: true,
      set: new Map([
        ["d:a", "2"],
        ["d:b", '{"deep":[1,2]}'],
        ["notes:1", '"hi"'],
      ]),
      delete: new Set(["d:c"]),
    });
  });

  test.each([
    ["a new session", "create"],
    ["a session that lives", "commit"],
    ["a sign-in", "commit"],
    ["a sign-out", "destroy"],
  ] as const)("S4: a redirect never overtakes the save of %s", async (what, method) => {
    await using it = await site(
      {
        "/set": (ctx) => void ctx.session.set("a", 1),
        "/go": (ctx) => {
          if (what === "a sign-in") ctx.session.login("ada");
          else if (what === "a sign-out") void ctx.session.destroy();
          else ctx.session.set("a", 2);
          ctx.redirect("/");
        },
      },
      { App },
    );
    const browser = it.browser();
    if (method !== "create") await browser.get("/set");
    const door = hold(it.store, method);
    let answered = false;
    const going = browser.get("/go").then((response) => {
      answered = true;
      return response;
    });
    await door.reached;
    // Another request comes and goes meanwhile: time enough for an answer that doesn't wait.
    await it.browser().get("/nowhere");
    expect(answered).toBe(false);
    door.open();
    const response = await going;
    expect(response.status).toBe(302);
    expect(response.headers.getSetCookie()).toHaveLength(
      method === "commit" && what !== "a sign-in" ? 0 : 1,
    );
  });

  test("S4: several saves in one request set one cookie", async () => {
    await using it = await site(
      {
        "/": async (ctx) => {
          ctx.cookies.set("theme", "dark");
          ctx.session.set("a", 1);
          await ctx.session.commit();
          ctx.session.login("ada");
          await ctx.session.commit();
          ctx.session.renewId();
          await ctx.session.commit();
          await ctx.session.commit();
          ctx.session.set("b", 2);
        },
        "/read": (ctx) => ctx.session.toJSON(),
      },
      { App },
    );
    const browser = it.browser();
    const response = await browser.get("/");
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^theme=dark;/),
      expect.stringMatching(/^sid=/),
    ]);
    expect(it.store.calls).toEqual(["create", "commit", "commit", "commit"]);
    expect(await (await browser.get("/read")).json()).toEqual({ a: 1, b: 2 });
    expect(it.memory.list("user:ada")).toHaveLength(1);
  });

  test("S4: a login with values is one commit", async () => {
    await using it = await site(
      {
        "/cart": (ctx) => void ctx.session.set("cart", 1),
        "/login": (ctx) => {
          ctx.session.login("ada");
          ctx.session.set("theme", "dark");
          ctx.session.persist(HOUR);
        },
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/cart");
    it.store.calls.length = 0;
    await browser.get("/login");
    expect(it.store.calls).toEqual(["load", "commit"]);
  });
});
