import { createSessions, memoryStore, type SessionsOptions } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { listen, type Routes, type Site, siteOn } from "./site.ts";
import { gate, hold } from "./steered-store.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const routes: Routes = {
  "/login": (ctx) => ctx.session.login("ada"),
  "/set": (ctx) => void ctx.session.set("a", 1),
  "/persist": (ctx) => {
    ctx.session.login("ada");
    ctx.session.persist(30 * DAY);
  },
  "/renew": (ctx) => ctx.session.renewId(),
  "/": (ctx) => ctx.session.userId ?? "nobody",
  "/untouched": () => "hello",
  "/expires": (ctx) => String(ctx.session.expiresAt?.getTime()),
};

describe.each(koaVersions)("on %s", (_version, App) => {
  const site = siteOn(App);

  async function signedIn(options: SessionsOptions = {}, path = "/login") {
    const it: Site = await site(routes, options);
    const browser = it.browser();
    await browser.get(path);
    it.store.calls.length = 0;
    return { it, browser, [Symbol.asyncDispose]: () => it[Symbol.asyncDispose]() };
  }

  const maxAgeOf = (response: Response): number =>
    Number(/Max-Age=(\d+)/.exec(response.headers.getSetCookie()[0] ?? "")?.[1]);

  describe("idle and absolute", () => {
    test("S8: a session ends when its idle time has passed, by the store's clock", async () => {
      using heard = listen();
      await using at = await signedIn({ idleTimeout: 30 * MINUTE });
      at.it.advance(30 * MINUTE - 5000);
      const twin = at.browser.clone();
      expect(await twin.text("/untouched")).toBe("hello");
      at.it.advance(30 * MINUTE - 5000);
      expect(await at.browser.text("/")).toBe("ada");
      at.it.advance(30 * MINUTE);
      expect(await at.browser.text("/")).toBe("nobody");
      expect(heard.names()).toEqual(["created", "refused"]);
    });

    test("S8: a session ends when its absolute time has passed, however much it is used", async () => {
      await using at = await signedIn({ idleTimeout: HOUR, absoluteTimeout: 3 * HOUR });
      for (let used = 0; used < 5; used++) {
        at.it.advance(30 * MINUTE);
        expect(await at.browser.text("/")).toBe("ada");
      }
      at.it.advance(30 * MINUTE);
      expect(await at.browser.text("/")).toBe("nobody");
    });

    test("S8: with an infinite absolute time a session that is used doesn't end", async () => {
      await using at = await signedIn({ idleTimeout: HOUR, absoluteTimeout: Infinity });
      for (let used = 0; used < 100; used++) {
        at.it.advance(59 * MINUTE);
        expect(await at.browser.text("/")).toBe("ada");
      }
    });

    test("S8: nothing that a client sends lengthens a session", async () => {
      await using at = await signedIn({ idleTimeout: HOUR });
      at.it.advance(HOUR);
      const response = await at.browser.request("/", {
        headers: {
          cookie: `${at.browser.cookie}; sid.expires=${Date.now() + DAY}; Max-Age=86400`,
          date: new Date(Date.now() - DAY).toUTCString(),
        },
      });
      expect(await response.text()).toBe("nobody");
    });

    test("S8: what the app server's clock says doesn't matter", async () => {
      // A store whose clock began in 1970 and is far behind.
      let now = 1_000_000;
      const sessions = createSessions({
        store: memoryStore({ clock: () => now }),
        idleTimeout: HOUR,
      });
      const app = new App();
      app.use(sessions.middleware());
      app.use(async (ctx) => {
        ctx.body = (await routes[ctx.path]?.(ctx)) ?? "";
      });
      await using served = await serve(app);
      const browser = new Browser(served);
      await browser.get("/login");
      now += HOUR - 1;
      expect(await browser.text("/")).toBe("ada");
      now += HOUR - 1;
      expect(await browser.text("/expires")).toBe(String(now + 1));
      const persisted = await browser.get("/persist");
      expect(maxAgeOf(persisted)).toBe((30 * DAY) / 1000);
      now += HOUR;
      expect(await browser.text("/")).toBe("ada");
      now += 30 * DAY;
      expect(await browser.text("/")).toBe("nobody");
    });

    test("S8: timeouts that were lowered hold for sessions that are stored already", async () => {
      for (const lowered of [{ idleTimeout: 10 * MINUTE }, { absoluteTimeout: 10 * MINUTE }]) {
        let now = Date.now();
        const store = memoryStore({ clock: () => now });
        const apps = [createSessions({ store }), createSessions({ store, ...lowered })];
        const [before, after] = await Promise.all(
          apps.map((sessions) => {
            const app = new App();
            app.use(sessions.middleware());
            app.use(async (ctx) => {
              ctx.body = (await routes[ctx.path]?.(ctx)) ?? "";
            });
            return serve(app);
          }),
        );
        if (!before || !after) throw new Error("no server");
        const ended: string[] = [];
        apps[1]?.onEnd(({ reason }) => void ended.push(reason));

        const browser = new Browser(before);
        await browser.get("/login");
        const later = new Browser(after);
        later.cookies.set("sid", browser.cookies.get("sid") ?? "");
        now += 10 * MINUTE - 1000;
        expect(await later.clone().text("/untouched")).toBe("hello");
        now += 10 * MINUTE;
        expect(await later.text("/")).toBe("nobody");
        // It is ended, not hidden: the server that was not told yet has none either.
        expect(await browser.text("/")).toBe("nobody");
        expect(store.size).toBe(0);
        expect(ended).toEqual(["destroyed"]);
        await before[Symbol.asyncDispose]();
        await after[Symbol.asyncDispose]();
      }
    });
  });

  describe("touching", () => {
    test("S8: reading is not writing until a tenth of the idle time has passed", async () => {
      await using at = await signedIn({ idleTimeout: 100 * MINUTE });
      at.it.advance(10 * MINUTE - 2000);
      await at.browser.get("/");
      expect(at.it.store.calls).toEqual(["load"]);
      at.it.advance(2000);
      const touched = await at.browser.get("/");
      expect(at.it.store.calls).toEqual(["load", "load", "commit"]);
      expect(touched.headers.getSetCookie()).toEqual([]);
      await at.browser.get("/");
      expect(at.it.store.calls).toEqual(["load", "load", "commit", "load"]);
    });

    test("S8: a request is a use also if its handler never asks for the session", async () => {
      await using at = await signedIn({ idleTimeout: HOUR });
      for (let used = 0; used < 3; used++) {
        at.it.advance(40 * MINUTE);
        await at.browser.get("/untouched");
      }
      expect(await at.browser.text("/")).toBe("ada");
    });

    test("S8: a request that the app's touch option excludes extends nothing", async () => {
      await using at = await signedIn({
        idleTimeout: HOUR,
        touch: (ctx) => ctx.path !== "/untouched",
      });
      at.it.advance(40 * MINUTE);
      expect(await at.browser.text("/untouched")).toBe("hello");
      expect(at.it.store.calls).toEqual(["load"]);
      at.it.advance(20 * MINUTE);
      expect(await at.browser.text("/")).toBe("nobody");
    });

    test("S8: a touch carries no data", async () => {
      await using at = await signedIn({ idleTimeout: HOUR });
      at.it.advance(30 * MINUTE);
      at.it.store.asked.length = 0;
      await at.browser.get("/");
      expect(at.it.store.asked[1]?.[1]).toEqual({
        operation: expect.any(String),
        publicId: expect.any(String),
        touch: true,
      });
    });

    test("S8: a touch that fails harms nobody, and is told by an event", async () => {
      using heard = listen();
      await using at = await signedIn({ idleTimeout: HOUR });
      at.it.advance(30 * MINUTE);
      at.it.store.around = (method, call) => {
        if (method === "commit") throw new Error("down");
        return call();
      };
      const response = await at.browser.get("/");
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("ada");
      expect(at.it.errors).toEqual([]);
      expect(heard.names()).toEqual(["created", "unavailable"]);
    });

    test("S8: a touch doesn't revive what was destroyed meanwhile", async () => {
      await using at = await signedIn({ idleTimeout: HOUR });
      at.it.advance(30 * MINUTE);
      const door = hold(at.it.store, "commit");
      const reading = at.browser.get("/");
      await door.reached;
      await at.it.sessions.destroyAll({ user: "ada" });
      door.open();
      const response = await reading;
      expect(response.status).toBe(200);
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(at.it.memory.size).toBe(0);
    });

    test("S8: a touch that arrives late doesn't shorten the session", async () => {
      await using at = await signedIn({ idleTimeout: HOUR });
      at.it.advance(30 * MINUTE);
      const door = hold(at.it.store, "commit");
      const reading = at.browser.clone().get("/");
      await door.reached;
      at.it.advance(20 * MINUTE);
      await at.browser.get("/set");
      const [written] = at.it.memory.list("user:ada");
      door.open();
      await reading;
      const [touched] = at.it.memory.list("user:ada");
      expect(touched?.seenAt).toBeGreaterThanOrEqual(written?.seenAt ?? Infinity);
    });
  });

  describe("staying signed in", () => {
    test("S8: persist outlives the browser and the manager's own timeouts", async () => {
      const it = await site(routes);
      await using _ = it;
      const browser = it.browser();
      const response = await browser.get("/persist");
      expect(maxAgeOf(response)).toBe((30 * DAY) / 1000);
      it.advance(29 * DAY);
      expect(await browser.text("/")).toBe("ada");
    });

    test("S8: it ends as long after its login, though it was used, and its cookie with it", async () => {
      await using at = await signedIn({}, "/persist");
      at.it.advance(20 * DAY);
      const touched = await at.browser.get("/");
      expect(touched.headers.getSetCookie()).toHaveLength(1);
      expect(maxAgeOf(touched) / 86_400).toBeCloseTo(10, 2);
      at.it.advance(10 * DAY - 5000);
      expect(await at.browser.text("/")).toBe("ada");
      at.it.advance(5000);
      expect(await at.browser.text("/")).toBe("nobody");
    });

    test("S8: a touch, a write and a renewal don't undo it", async () => {
      await using at = await signedIn({}, "/persist");
      const [before] = at.it.memory.list("user:ada");
      for (const path of ["/", "/set", "/renew"]) {
        at.it.advance(4 * DAY);
        const response = await at.browser.get(path);
        expect(response.headers.getSetCookie()).toHaveLength(1);
        expect(maxAgeOf(response)).toBeGreaterThan(17 * 86_400);
        expect(at.it.memory.list("user:ada")).toMatchObject([
          { idle: before?.idle, absolute: before?.absolute },
        ]);
      }
    });

    test("S8: the cookie is not sent again by every read", async () => {
      await using at = await signedIn({}, "/persist");
      at.it.advance(2 * DAY);
      const response = await at.browser.get("/");
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(at.it.store.calls).toEqual(["load"]);
    });

    test("S8: a later login ends it", async () => {
      await using at = await signedIn({}, "/persist");
      const response = await at.browser.get("/login");
      expect(response.headers.getSetCookie()).toHaveLength(1);
      expect(maxAgeOf(response)).toBeNaN();
      at.it.advance(30 * MINUTE);
      expect(await at.browser.text("/")).toBe("nobody");
    });

    test("S8: a lower absolute timeout of the app doesn't end it", async () => {
      await using at = await signedIn({ idleTimeout: MINUTE, absoluteTimeout: HOUR }, "/persist");
      at.it.advance(2 * HOUR);
      expect(await at.browser.text("/")).toBe("ada");
    });

    test.each([0, 999, 400 * DAY + 1, Number.NaN, Infinity])(
      "persist(%s) is a RangeError",
      async (duration) => {
        await using it = await site({ "/": (ctx) => ctx.session.persist(duration) });
        await it.browser().get("/");
        expect(it.errors).toEqual([expect.any(RangeError)]);
      },
    );
  });

  test("S8: a session that lives on in a request that takes long is judged when it commits", async () => {
    const door = gate();
    await using it = await site({
      "/login": routes["/login"] ?? (() => {}),
      "/slow": async (ctx) => {
        await door.pass();
        ctx.session.set("late", 1);
      },
      "/": routes["/"] ?? (() => {}),
    });
    const browser = it.browser();
    await browser.get("/login");
    const slow = browser.get("/slow");
    await door.reached;
    it.advance(29 * MINUTE);
    door.open();
    await slow;
    it.advance(29 * MINUTE);
    expect(await browser.text("/")).toBe("ada");
  });
});
