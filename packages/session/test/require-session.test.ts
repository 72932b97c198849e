import { Router } from "@koa/router";
import {
  cookieTracker,
  createSessions,
  headerTracker,
  requireSession,
  type SessionsOptions,
} from "@lanai/session";
import type Koa from "koa";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { watchedStore } from "./watched-store.ts";

describe.each(koaVersions)("%s", (_version, App) => {
  /** `/visit` makes a session, `/login` signs in; the rest is behind a requirement. */
  function appOf(options: SessionsOptions = {}): Koa {
    const sessions = createSessions(options);
    const app = new App();
    app.silent = true;
    app.use(sessions.middleware());
    const router = new Router();
    router.use(sessions.preload());
    router.get("/visit", (ctx) => {
      ctx.session.set("n", 1);
      ctx.body = "visited";
    });
    router.get("/login", (ctx) => {
      ctx.session.login("ada");
      ctx.body = "signed in";
    });
    router.get("/logout", async (ctx) => {
      await ctx.session.destroy();
      ctx.body = "signed out";
    });
    const inside = (ctx: Koa.Context): void => {
      ctx.body = "inside";
    };
    const guarded = new Router();
    guarded.get("/session", requireSession(), inside);
    guarded.get("/user", requireSession({ user: true }), inside);
    guarded.get("/to", requireSession({ user: true, redirect: "/sign-in" }), inside);
    guarded.get(
      "/to-function",
      requireSession({ redirect: (ctx) => `/sign-in?from=${encodeURIComponent(ctx.path)}` }),
      inside,
    );
    const group = new Router({ prefix: "/group" });
    group.use(requireSession({ user: true }));
    group.get("/", inside);
    for (const it of [group, guarded, router]) app.use(it.routes());
    return app;
  }

  test("a stranger gets a 401 that says how and why, and no cookie", async () => {
    await using served = await serve(appOf());
    for (const [path, message] of [
      ["/session", "there is no session"],
      ["/user", "sign in first"],
      ["/group", "sign in first"],
    ]) {
      const response = await fetch(served.url + path);
      expect([response.status, await response.text()]).toEqual([401, message]);
      expect(response.headers.get("WWW-Authenticate")).toBe(
        'Session realm="session", code="ERR_SESSION_REQUIRED"',
      );
      expect(response.headers.get("Vary")).toBe("Cookie");
      expect(response.headers.has("Set-Cookie")).toBe(false);
    }
  });

  test("an anonymous session is enough where no user is asked for", async () => {
    await using served = await serve(appOf());
    const browser = new Browser(served);
    await browser.get("/visit");
    expect(await browser.text("/session")).toBe("inside");
    expect(await browser.text("/to-function")).toBe("inside");
    expect((await browser.get("/user")).status).toBe(401);
    expect((await browser.get("/group")).status).toBe(401);
  });

  test("a user is let in everywhere, until the logout", async () => {
    await using served = await serve(appOf());
    const browser = new Browser(served);
    await browser.get("/login");
    for (const path of ["/session", "/user", "/to", "/to-function", "/group"]) {
      expect(await browser.text(path), path).toBe("inside");
    }
    const copy = browser.clone();
    await browser.get("/logout");
    for (const visitor of [browser, copy]) {
      expect((await visitor.get("/user")).status).toBe(401);
      expect((await visitor.get("/session")).status).toBe(401);
    }
  });

  test("a redirect is a text or made from the request", async () => {
    await using served = await serve(appOf());
    const browser = new Browser(served);
    const to = await browser.get("/to");
    expect([to.status, to.headers.get("Location")]).toEqual([302, "/sign-in"]);
    const made = await browser.get("/to-function");
    expect([made.status, made.headers.get("Location")]).toEqual([
      302,
      "/sign-in?from=%2Fto-function",
    ]);
    expect(made.headers.get("Vary")).toBe("Cookie");
  });

  test("a lazy session is loaded, once", async () => {
    const { store, calls } = watchedStore();
    await using served = await serve(appOf({ store, load: "lazy" }));
    const browser = new Browser(served);
    await browser.get("/login");
    calls.length = 0;
    expect(await browser.text("/user")).toBe("inside");
    expect(calls).toEqual(["load"]);
    expect((await fetch(`${served.url}/user`)).status).toBe(401);
    expect(calls).toEqual(["load"]);
  });

  test("the reason why what came was refused is in the challenge, and nothing of what came", async () => {
    const tracker = cookieTracker({ keys: ["a key of thirty-two bytes or more"] });
    await using served = await serve(appOf({ tracker }));
    const response = await fetch(`${served.url}/user`, { headers: { cookie: "sid=forged.value" } });
    expect(response.headers.get("WWW-Authenticate")).toBe(
      'Session realm="session", code="ERR_SESSION_REQUIRED", reason="signature"',
    );
    await using plain = await serve(appOf());
    const unknown = await fetch(`${plain.url}/user`, {
      headers: { cookie: `sid=${"A".repeat(43)}` },
    });
    expect(unknown.headers.get("WWW-Authenticate")).toContain('reason="unknown"');
  });

  test("the scheme of the challenge is the tracker's", async () => {
    const tracker = { ...headerTracker(), challenge: "Bearer" };
    await using served = await serve(appOf({ tracker }));
    const { headers } = await fetch(`${served.url}/user`);
    expect(headers.get("WWW-Authenticate")).toMatch(/^Bearer realm="session"/);
    expect(headers.get("Vary")).toBe("Session-ID");
  });

  test("with a property it asks the session of that manager", async () => {
    const people = createSessions();
    const admins = createSessions({ property: "admin", name: "admin" });
    const app = new App();
    app.silent = true;
    app.use(people.middleware());
    app.use(admins.middleware());
    const router = new Router();
    router.get("/login", (ctx) => {
      ctx.session.login("ada");
      ctx.body = "signed in";
    });
    router.get("/admin-login", (ctx) => {
      admins.from(ctx).login("root");
      ctx.body = "signed in";
    });
    router.get("/admin", requireSession({ user: true, property: "admin" }), (ctx) => {
      ctx.body = "inside";
    });
    app.use(router.routes());
    await using served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/login");
    const refused = await browser.get("/admin");
    expect(refused.status).toBe(401);
    expect(refused.headers.get("WWW-Authenticate")).toContain('realm="admin"');
    await browser.get("/admin-login");
    expect(await browser.text("/admin")).toBe("inside");
  });

  test.each([
    ["requireSession()", () => requireSession(), "session"],
    ["requireSession({ property })", () => requireSession({ property: "admin" }), "admin"],
    ["preload()", () => createSessions().preload(), "session"],
  ] as const)(
    "%s without a session middleware is ERR_SESSION_NO_MIDDLEWARE",
    async (_what, make, property) => {
      const app = new App();
      const failed = Promise.withResolvers<unknown>();
      app.on("error", failed.resolve);
      app.use(make());
      await using served = await serve(app);
      const response = await fetch(served.url);
      expect([response.status, await response.text()]).toEqual([500, "Internal Server Error"]);
      expect(await failed.promise).toMatchObject({
        code: "ERR_SESSION_NO_MIDDLEWARE",
        message: `ctx.${property} is not there: mount session() or sessions.middleware() before this middleware`,
      });
    },
  );
});
