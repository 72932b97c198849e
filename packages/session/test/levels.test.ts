import { Router } from "@koa/router";
import { createSessions, type Sessions, session } from "@lanai/session";
import type Koa from "koa";
import type { ExtendableContext, Middleware, Next } from "koa";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { watchedStore } from "./watched-store.ts";

/** A middleware that writes its name into the session, and so shows when it ran. */
const mark =
  (name: string) =>
  async (ctx: ExtendableContext, next: Next): Promise<void> => {
    ctx.session.set("marks", [...((ctx.session.get("marks") as string[]) ?? []), name]);
    await next();
  };

const answerMarks = (ctx: ExtendableContext): void => {
  (ctx as Koa.Context).body = ctx.session.get("marks");
};

const answerVisits = (ctx: ExtendableContext): void => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  (ctx as Koa.Context).body = String(visits);
};

const answerMounted = (ctx: ExtendableContext): void => {
  (ctx as Koa.Context).body = String("session" in ctx && ctx.session !== undefined);
};

describe.each(koaVersions)("%s", (_version, App) => {
  const make = (...middleware: (Middleware | Router)[]): Koa => {
    const app = new App();
    app.silent = true;
    for (const it of middleware) app.use(it instanceof Router ? it.routes() : it);
    return app;
  };
  /** What mounting an app in another comes to: its middleware, with the outer context. */
  const mount =
    (app: Koa): Middleware =>
    (ctx, next) =>
      app.middleware.reduceRight<Next>((rest, it) => async () => it(ctx, rest), next)();

  /** Two visits of one browser, to see that the second finds what the first left. */
  async function visits(app: Koa, path = "/"): Promise<string[]> {
    await using served = await serve(app);
    const browser = new Browser(served);
    return [await browser.text(path), await browser.text(path)];
  }

  describe("the three levels", () => {
    test("app.use", async () => {
      expect(await visits(make(session(), answerVisits))).toEqual(["1", "2"]);
    });

    test("router.use on a nested router", async () => {
      const group = new Router();
      group.use(session());
      group.get("/visits", answerVisits);
      const router = new Router();
      router.use("/group", group.routes());
      router.get("/outside", answerMounted);
      const app = make(router);
      expect(await visits(app, "/group/visits")).toEqual(["1", "2"]);
      expect(await visits(app, "/outside")).toEqual(["false", "false"]);
    });

    test("one route's array", async () => {
      const router = new Router();
      router.get("/visits", session(), answerVisits);
      router.get("/outside", answerMounted);
      const app = make(router);
      expect(await visits(app, "/visits")).toEqual(["1", "2"]);
      expect(await visits(app, "/outside")).toEqual(["false", "false"]);
    });

    test("they run in the order app, group, route, and within a level as they were added", async () => {
      const group = new Router({ prefix: "/group" });
      group.use(mark("group 1"), mark("group 2"));
      group.get("/", mark("route 1"), mark("route 2"), answerMarks);
      group.use(mark("too late"));
      const app = make(session(), mark("app 1"), mark("app 2"), group);
      await using served = await serve(app);
      const response = await fetch(`${served.url}/group`);
      expect(await response.json()).toEqual([
        "app 1",
        "app 2",
        "group 1",
        "group 2",
        "route 1",
        "route 2",
      ]);
    });
  });

  describe("mounted at several levels", () => {
    function everywhere(sessions: Sessions): Koa {
      const group = new Router({ prefix: "/group" });
      group.use(sessions.middleware());
      group.get("/visits", sessions.middleware(), answerVisits);
      group.get("/fails", sessions.middleware(), (ctx) => {
        answerVisits(ctx);
        ctx.throw(403);
      });
      return make(sessions.middleware(), sessions.middleware(), group);
    }

    test("the session is loaded once and saved once", async () => {
      const { store, calls } = watchedStore();
      await using served = await serve(everywhere(createSessions({ store })));
      const browser = new Browser(served);
      const first = await browser.get("/group/visits");
      expect(calls.splice(0)).toEqual(["create"]);
      expect(first.headers.getSetCookie()).toHaveLength(1);
      expect(await browser.text("/group/visits")).toBe("2");
      expect(calls).toEqual(["load", "commit"]);
    });

    test("the same when the route fails", async () => {
      const { store, calls } = watchedStore();
      await using served = await serve(everywhere(createSessions({ store })));
      const browser = new Browser(served);
      const first = await browser.get("/group/fails");
      expect(first.status).toBe(403);
      expect(calls.splice(0)).toEqual(["create"]);
      expect(first.headers.getSetCookie()).toHaveLength(1);
      await browser.get("/group/fails");
      expect(calls).toEqual(["load", "commit"]);
      expect(await browser.text("/group/visits")).toBe("3");
    });

    test("it is saved by the outermost, with what ran after the inner ones", async () => {
      const sessions = createSessions();
      const app = make(
        sessions.middleware(),
        async (ctx, next) => {
          await next();
          ctx.session.set("after", true);
        },
        sessions.middleware(),
        (ctx) => {
          ctx.body = String(ctx.session.get("after") ?? false);
        },
      );
      expect(await visits(app)).toEqual(["false", "true"]);
    });
  });

  describe("sub-apps", () => {
    test("a sub-app's own sessions work where its middleware is composed into another app", async () => {
      const inner = make(session(), answerVisits);
      const outer = make(async (ctx, next) => {
        if (!ctx.path.startsWith("/inner")) return next();
        return mount(inner)(ctx, next);
      }, answerMounted);
      expect(await visits(outer, "/inner")).toEqual(["1", "2"]);
      expect(await visits(outer, "/outer")).toEqual(["false", "false"]);
    });

    test("one manager in an app and in its sub-app is one session, loaded once", async () => {
      const { store, calls } = watchedStore();
      const sessions = createSessions({ store });
      const inner = make(sessions.middleware(), answerVisits);
      const outer = make(sessions.middleware(), mount(inner));
      expect(await visits(outer)).toEqual(["1", "2"]);
      expect(calls).toEqual(["create", "load", "commit"]);
    });

    test("one manager serves two apps with one store", async () => {
      const sessions = createSessions();
      await using a = await serve(make(sessions.middleware(), answerVisits));
      await using b = await serve(make(sessions.middleware(), answerVisits));
      const browser = new Browser(a);
      await browser.get("/");
      const elsewhere = new Browser(b);
      for (const [name, value] of browser.cookies) elsewhere.cookies.set(name, value);
      expect(await elsewhere.text("/")).toBe("2");
      expect(await browser.text("/")).toBe("3");
    });
  });

  describe("several managers", () => {
    test("with a property each they don't see each other", async () => {
      const people = createSessions();
      const admins = createSessions<{ rank: string }>({ property: "admin", name: "admin" });
      const app = make(people.middleware(), admins.middleware(), (ctx) => {
        if (ctx.path === "/set") {
          ctx.session.set("rank", "person");
          admins.from(ctx).set("rank", "admin");
        }
        ctx.body = [
          people.from(ctx).get("rank"),
          admins.from(ctx).get("rank"),
          ctx.admin === admins.from(ctx),
        ];
      });
      await using served = await serve(app);
      const browser = new Browser(served);
      const response = await browser.get("/set");
      expect(response.headers.getSetCookie().map((line) => line.split("=")[0])).toEqual([
        "admin",
        "sid",
      ]);
      expect(await (await browser.get("/")).json()).toEqual(["person", "admin", true]);
    });

    test("with one property in one request are an error that names it", async () => {
      const app = make(session(), session(), answerVisits);
      const failed = Promise.withResolvers<unknown>();
      app.on("error", failed.resolve);
      await using served = await serve(app);
      expect((await fetch(served.url)).status).toBe(500);
      expect(await failed.promise).toMatchObject({
        code: "ERR_SESSION_PROPERTY_TAKEN",
        message: expect.stringContaining("ctx.session"),
      });
    });

    test("with one property on two routes of one app both work", async () => {
      const router = new Router();
      router.get("/a", session({ name: "a" }), answerVisits);
      router.get("/b", session({ name: "b" }), answerVisits);
      await using served = await serve(make(router));
      const browser = new Browser(served);
      const paths = ["/a", "/b", "/a", "/a", "/b"];
      const answers: string[] = [];
      for (const path of paths) answers.push(await browser.text(path));
      expect(answers).toEqual(["1", "1", "2", "3", "2"]);
    });
  });

  describe("a property that is taken", () => {
    test.each([
      "request",
      "state",
      "app",
      "body",
      "cookies",
      "throw",
      "toJSON",
      "onerror",
      "constructor",
    ])("ctx.%s is Koa's: every request says so, and Koa goes on working", async (property) => {
      const sessions = createSessions({ property });
      const app = make(async (ctx, next) => {
        if (ctx.path !== "/free") return sessions.middleware()(ctx, next);
        ctx.body = `${ctx.request.path} ${typeof ctx.state}`;
      });
      const errors: Error[] = [];
      app.on("error", (error) => errors.push(error));
      await using served = await serve(app);
      for (let i = 0; i < 2; i++) expect((await fetch(served.url)).status).toBe(500);
      expect(errors.map((it) => it.message)).toEqual(
        Array(2).fill(
          `ctx.${property} is taken by Koa or another package: give createSessions another property`,
        ),
      );
      expect(await (await fetch(`${served.url}/free`)).text()).toBe("/free object");
    });

    test("a getter of another package on app.context is left alone", async () => {
      const app = make(session(), answerVisits);
      Object.defineProperty(app.context, "session", { get: () => "theirs", configurable: true });
      const failed = Promise.withResolvers<Error>();
      app.on("error", failed.resolve);
      await using served = await serve(app);
      expect((await fetch(served.url)).status).toBe(500);
      expect((await failed.promise).message).toContain("ctx.session is taken");
      expect(app.context.session).toBe("theirs");
    });
  });

  describe("a group without a prefix", () => {
    test("is a pure scope as a router of its own in app.use", async () => {
      const scope = new Router();
      scope.use(session());
      scope.get("/inside", answerMounted);
      const others = new Router();
      others.get("/outside", answerMounted);
      await using served = await serve(make(scope, others));
      const browser = new Browser(served);
      expect(await browser.text("/inside")).toBe("true");
      expect(await browser.text("/outside")).toBe("false");
    });

    test("limit of @koa/router 15: nested in another router its middleware runs for siblings too", async () => {
      const scope = new Router();
      scope.use(session());
      scope.get("/inside", answerMounted);
      const router = new Router();
      router.get("/before", answerMounted);
      router.use(scope.routes());
      router.get("/after", answerMounted);
      await using served = await serve(make(router));
      const browser = new Browser(served);
      expect(await browser.text("/inside")).toBe("true");
      expect(await browser.text("/after")).toBe("true");
      expect(await browser.text("/before")).toBe("false");
    });
  });
});
