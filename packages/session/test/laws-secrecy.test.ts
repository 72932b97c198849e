import { inspect } from "node:util";
import type { Session } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { listen, type Routes, siteOn } from "./site.ts";

const MINUTE = 60_000;
/** A value that is easy to find wherever it leaks. */
const VALUE = "correct-horse-battery-staple";

/** Everything about a value that a log could print, with what is hidden in it. */
const print = (value: unknown): string =>
  [
    inspect(value, { depth: 20, showHidden: true, getters: true }),
    // What an error hides from inspection: its message and its causes.
    value instanceof Error ? `${value.stack} ${print(value.cause)}` : "",
  ].join("\n");

describe.each(koaVersions)("on %s", (_version, App) => {
  const site = siteOn(App);

  test("S12: no event, error, list or stored key holds an id, and no event or error a value", async () => {
    using heard = listen();
    const sessions: Session[] = [];
    const released: unknown[] = [];
    const ended: unknown[] = [];
    const routes: Routes = {
      "/login": (ctx) => {
        sessions.push(ctx.session);
        ctx.session.set("secret", VALUE).login("ada");
      },
      "/set": (ctx) => void ctx.session.set("secret", `${VALUE} ${ctx.query.more}`),
      "/renew": (ctx) => ctx.session.renewId(),
      "/commit": async (ctx) => {
        it.memory.destroyAll("user:ada");
        await ctx.session.set("secret", `${VALUE} too late`).commit();
      },
      "/unstorable": (ctx) => void ctx.session.set("secret", { plain: VALUE, deep: () => VALUE }),
      "/out": (ctx) => ctx.session.destroy(),
      "/late": (ctx) => {
        ctx.res.end();
        ctx.session.set("secret", VALUE);
      },
      "/": (ctx) => ctx.session.userId ?? "nobody",
    };
    const it = await site(routes, {
      storeTimeout: 20,
      onSessionRelease: ({ publicId, owners }) => void released.push({ publicId, owners }),
    });
    await using _ = it;
    it.sessions.onEnd((end) => void ended.push(end));

    const ids = new Set<string>();
    const browser = it.browser();
    const ask = async (path: string) => {
      await browser.get(path);
      const id = browser.cookies.get("sid");
      if (id !== undefined) ids.add(id);
    };
    const listed: unknown[] = [];

    await ask("/login");
    await ask("/set?more=1");
    const old = browser.clone();
    await ask("/renew");
    await old.get("/set?more=2");
    listed.push(await it.sessions.list({ user: "ada" }));
    await ask("/unstorable");
    await ask("/late");
    await ask("/commit");
    await ask("/");
    await ask("/login");
    it.advance(30 * MINUTE);
    await ask("/");
    await ask("/login");
    await it
      .browser()
      .request("/", { headers: { cookie: `sid=${[...ids][0]}; sid=${[...ids][1]}` } });
    for (const cookie of [`sid=${[...ids][0]}!`, "sid=x", `sid=${"A".repeat(43)}`]) {
      await it.browser().request("/", { headers: { cookie } });
    }
    const { around } = it.store;
    it.store.around = () => Promise.reject(new Error("down"));
    await ask("/");
    it.store.around = () => new Promise(() => {});
    await ask("/");
    it.store.around = around;
    await ask("/out");

    expect(new Set(heard.names())).toEqual(
      new Set(["created", "renewed", "dropped", "refused", "gone", "destroyed", "unavailable"]),
    );
    expect(it.errors.length).toBeGreaterThan(4);
    expect(ids.size).toBe(4);
    const keys = it.store.asked.map(([key]) => String(key)).filter((key) => key[2] === ".");
    expect(keys.length).toBeGreaterThan(10);
    const seen = {
      events: print(heard.events) + heard.events.map(({ event }) => print(event.error)).join(),
      errors: it.errors.map(print).join("\n"),
      lists: print(listed),
      ends: print(ended) + print(released),
      keys: print(keys),
      "inspected sessions": print(sessions) + JSON.stringify(sessions),
    };
    for (const [where, text] of Object.entries(seen)) {
      for (const id of ids) expect(text, where).not.toContain(id);
      for (const key of where === "keys" ? [] : keys) expect(text, where).not.toContain(key);
      if (where === "events" || where === "errors") expect(text, where).not.toContain(VALUE);
    }
  });

  test("S12: all that a store receives holds no id", async () => {
    await using it = await site({
      "/login": (ctx) => void ctx.session.set("a", 1).login("ada"),
      "/renew": (ctx) => ctx.session.renewId(),
      "/count": (ctx) => ctx.session.update("a", (a) => Number(a) + 1),
      "/out": (ctx) => ctx.session.destroy(),
    });
    const browser = it.browser();
    const ids: string[] = [];
    for (const path of ["/login", "/renew", "/count", "/out"]) {
      await browser.get(path);
      ids.push(browser.cookies.get("sid") ?? "");
    }
    expect(new Set(ids).size).toBe(3);
    const received = inspect(it.store.asked, { depth: 20 });
    for (const id of ids.filter((it) => it !== "")) {
      // But for the two characters that its key begins with.
      expect(received).not.toContain(id.slice(2));
    }
  });

  test("S12: inspection and JSON show the data of a session, and not the id", async () => {
    const shown: string[] = [];
    await using it = await site({
      "/": async (ctx) => {
        ctx.session.set("theme", "dark");
        await ctx.session.commit();
        shown.push(inspect(ctx.session), JSON.stringify(ctx.session), `${ctx.session}`);
        shown.push(inspect(ctx.session, { showHidden: true }), JSON.stringify({ ...ctx.session }));
      },
    });
    const browser = it.browser();
    await browser.get("/");
    expect(shown[0]).toBe("{ Session: { theme: 'dark' } }");
    expect(shown[1]).toBe('{"theme":"dark"}');
    for (const text of shown) expect(text).not.toContain(browser.cookies.get("sid"));
  });
});
