import { createSessions, memoryStore } from "@lanai/session";
import { plainSession } from "@lanai/session-compat";
import Koa, { type Context } from "koa";
import passport from "koa-passport";
import { Strategy } from "passport-local";
import { expect, test } from "vitest";
import { Browser, serve } from "../../session/test/http.ts";

const open = (own?: (ctx: Context) => void) => {
  const sessions = createSessions({ store: memoryStore(), property: "lanai" });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(plainSession(sessions));
  app.use((ctx, next) => {
    own?.(ctx);
    return next();
  });
  app.use(passport.initialize());
  app.use(async (ctx) => {
    const { flash } = ctx.req as unknown as { flash(type: string, message?: unknown): unknown };
    if (ctx.path === "/sign-in") {
      passport.use(
        new Strategy((_name, _password, done) => done(null, false, { message: "Wrong" })),
      );
      Object.assign(ctx.request, { body: { username: "ada", password: "x" } });
      const options = { failureRedirect: "/", failureFlash: true };
      return passport.authenticate("local", options)(ctx, async () => {});
    }
    if (ctx.path === "/two") ctx.body = [flash("info", ["a", "b"]), flash("__proto__", "c")];
    if (ctx.path === "/") ctx.body = { error: flash("error"), info: flash("info") };
    if (ctx.path === "/proto") ctx.body = { hostile: flash("__proto__") };
  });
  app.silent = true;
  return serve(app);
};

test("koa-passport's failureFlash leaves a message, which is taken once", async () => {
  await using served = await open();
  const browser = new Browser(served);
  expect((await browser.get("/sign-in")).status).toBe(302);
  expect(await (await browser.get("/")).json()).toEqual({ error: ["Wrong"], info: [] });
  expect(await (await browser.get("/")).json()).toEqual({ error: [], info: [] });
});

test("several messages and hostile types come back", async () => {
  await using served = await open();
  const browser = new Browser(served);
  expect(await (await browser.get("/two")).json()).toEqual([2, 1]);
  expect(await (await browser.get("/")).json()).toEqual({ error: [], info: ["a", "b"] });
  expect(await (await browser.get("/proto")).json()).toEqual({ hostile: ["c"] });
});

test("with ctx.flash of @lanai/flash the message is one of its own", async () => {
  const left: unknown[] = [];
  await using served = await open((ctx) => {
    Object.assign(ctx, { flash: (message: unknown, level: string) => left.push([message, level]) });
  });
  const browser = new Browser(served);
  await browser.get("/sign-in");
  expect(left).toEqual([["Wrong", "error"]]);
  expect((await browser.get("/")).status).toBe(500);
});
