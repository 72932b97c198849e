import { text } from "node:stream/consumers";
import Koa, { type Context } from "koa";
import passport from "koa-passport";
import { Strategy } from "passport-local";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Browser, type Served, serve } from "../../session/test/http.ts";
import { gate } from "../../session/test/steered-store.ts";
import { usePassport } from "./example-passport.ts";

interface User {
  readonly id: string;
}

const site = () => {
  passport.use(
    new Strategy((name, password, done) => done(null, password === "aloha" && { id: name })),
  );
  passport.serializeUser((user, done) => done(null, (user as User).id));
  passport.deserializeUser((id, done) => done(null, { id }));

  const app = new Koa();
  app.use(async (ctx, next) => {
    if (ctx.method === "POST") {
      Object.assign(ctx.request, {
        body: Object.fromEntries(new URLSearchParams(await text(ctx.req))),
      });
    }
    await next();
  });
  const sessions = usePassport(app);

  const keepSessionInfo = true;
  const routes: Record<string, (ctx: Context) => unknown> = {
    "/cart": (ctx) => {
      plainOf(ctx).cart = ["tea"];
    },
    "/slow": async (ctx) => {
      await door.pass();
      plainOf(ctx).cart = ["late"];
    },
    "/sign-in": (ctx) =>
      passport.authenticate("local", { successRedirect: "/me", failureRedirect: "/sign-in" })(
        ctx,
        async () => {},
      ),
    "/sign-in-and-keep": (ctx) => ctx.login({ id: "ada" }, { keepSessionInfo }),
    "/sign-in-known": async (ctx) => {
      await ctx.login({ id: "ada" });
      sessions.from(ctx).login("ada");
    },
    "/sign-out": (ctx) => ctx.logout(),
    "/sign-out-everywhere": async (ctx) => {
      ctx.body = String(await sessions.destroyAll({ user: "ada" }));
    },
    "/sign-out-and-keep": (ctx) => {
      // Its types lack the options.
      const logout: (options: object) => Promise<void> = ctx.logout;
      return logout({ keepSessionInfo });
    },
    "/me": (ctx) => {
      ctx.body = { user: ctx.state.user?.id ?? null, cart: plainOf(ctx).cart ?? null };
    },
  };
  app.use(async (ctx) => {
    await routes[ctx.path]?.(ctx);
    ctx.body ??= "done";
  });
  return app;
};

const plainOf = (ctx: Context) => ctx.session as unknown as Record<string, unknown>;

let door = gate();
let served: Served;
let browser: Browser;

beforeEach(async () => {
  door = gate();
  served = await serve(site());
  browser = new Browser(served);
});

afterEach(() => served[Symbol.asyncDispose]());

const me = async (who = browser) => (await who.get("/me")).json();
const signIn = (password = "aloha") => browser.post("/sign-in", { username: "ada", password });

describe("koa-passport on plainSession", () => {
  test("signs in with a redirect that finds the user", async () => {
    expect(await me()).toEqual({ user: null, cart: null });
    const response = await signIn();
    expect(response.status).toBe(302);
    expect(response.headers.get("location")).toBe("/me");
    expect(await me()).toEqual({ user: "ada", cart: null });
  });

  test("stores nothing for a wrong password", async () => {
    const response = await signIn("guess");
    expect(response.headers.get("location")).toBe("/sign-in");
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("the id from before the sign-in opens nothing afterwards", async () => {
    await browser.get("/cart");
    const before = browser.clone();
    await signIn();
    expect(browser.cookie).not.toBe(before.cookie);
    expect(await me()).toEqual({ user: "ada", cart: null });
    expect(await me(before)).toEqual({ user: null, cart: null });
  });

  test("signs out, and a copy of the cookie opens nothing", async () => {
    await signIn();
    const copy = browser.clone();
    await browser.post("/sign-out");
    expect(await me()).toEqual({ user: null, cart: null });
    expect(await me(copy)).toEqual({ user: null, cart: null });
    await signIn();
    expect(await me()).toEqual({ user: "ada", cart: null });
  });

  test("signs out for good, though a slow request writes afterwards", async () => {
    await signIn();
    const slow = browser.clone();
    const writing = slow.get("/slow");
    await door.reached;
    await browser.post("/sign-out");
    door.open();
    expect((await writing).headers.getSetCookie()).toEqual([]);
    expect(await me(slow)).toEqual({ user: null, cart: null });
    expect(await me()).toEqual({ user: null, cart: null });
  });

  test("keeps the session's data with keepSessionInfo", async () => {
    await browser.get("/cart");
    await browser.post("/sign-in-and-keep");
    expect(await me()).toEqual({ user: "ada", cart: ["tea"] });
    await browser.post("/sign-out-and-keep");
    expect(await me()).toEqual({ user: null, cart: ["tea"] });
  });

  test("can tell the session its user, who can then sign out everywhere", async () => {
    await browser.post("/sign-in-known");
    expect(await me()).toEqual({ user: "ada", cart: null });
    expect(await new Browser(served).text("/sign-out-everywhere")).toBe("1");
    expect(await me()).toEqual({ user: null, cart: null });
  });

  test("tells one visitor from another", async () => {
    await signIn();
    expect(await me(new Browser(served))).toEqual({ user: null, cart: null });
  });
});
