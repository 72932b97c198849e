import Router from "@koa/router";
import type { Clients } from "@lanai/clients";
import { requireSession, returnPath } from "@lanai/session";
import type { Context, Middleware } from "koa";
import * as views from "./account-views.ts";
import { readForm, seeOther } from "./form.ts";
import { type Member, membersOnly } from "./members.ts";
import { nameOf } from "./names.ts";
import { Throttle } from "./throttle.ts";

declare module "@lanai/session" {
  interface SessionData {
    visits: number;
  }
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** The page shows it. An app of your own keeps a slow hash of each user's (Argon2, scrypt). */
const PASSWORD = "aloha";

/** Who somebody is: sign-in, sign-out, "Confirm it's you", and the end of the account. */
export function account(clients: Clients): Router<Member> {
  const router = new Router<Member>();
  const throttle = new Throttle();
  const members = [membersOnly, clients.middleware()] as const;

  /** Slows down after wrong passwords: 429 while the name has to wait. */
  const isRight = (ctx: Context, name: string, password: string | null): boolean => {
    const key = `${ctx.ip} ${name}`;
    const seconds = throttle.wait(key);
    if (seconds > 0) ctx.throw(429, { headers: { "Retry-After": String(seconds) } });
    if (password === PASSWORD) throttle.succeeded(key);
    else throttle.failed(key);
    return password === PASSWORD;
  };

  router.get("/sign-in", async (ctx) => {
    // What it says once must not be said again out of a cache.
    ctx.set("Cache-Control", "no-store");
    if (ctx.session.userId !== undefined) return ctx.redirect("/home");
    const text = "This browser was signed out from another tab or browser";
    const ended = "ended" in ctx.query ? [{ level: "warning", message: text }] : [];
    ctx.body = views.signIn({
      password: PASSWORD,
      messages: [...ended, ...(await ctx.flash.pop())],
    });
  });

  router.post("/sign-in", async (ctx) => {
    const form = await readForm(ctx);
    const name = nameOf(form.get("name"));
    if (name === undefined) return ctx.throw(400, "this can't be a name");
    const isName = name !== "" && name.length <= 40;
    if (!isName || !isRight(ctx, name, form.get("password"))) {
      ctx.status = 422;
      ctx.body = views.signIn({ password: PASSWORD, name, error: "Invalid credentials" });
      return;
    }
    ctx.session.login(name, { methods: ["pwd"] });
    if (form.has("stay")) ctx.session.persist(30 * DAY);
    seeOther(ctx, "/home");
  });

  router.post("/sign-out", async (ctx) => {
    await ctx.session.destroy();
    // Kept in a new session, which nobody is signed in to.
    ctx.flash.success("You are signed out");
    seeOther(ctx, "/sign-in");
  });

  // A middleware of one route: a script is better served by a 401 than by a page to sign in.
  router.get("/me", requireSession({ user: true }), async (ctx) => {
    const { userId, publicId, createdAt, expiresAt } = ctx.session;
    ctx.body = { userId, publicId, createdAt, expiresAt, data: ctx.session };
  });

  router.get("/home", ...members, countVisit, async (ctx) => {
    const { user } = ctx.state;
    const messages = await ctx.flash.pop();
    const visits = ctx.session.getInt("visits");
    ctx.body = views.home({ user, messages, visits, session: ctx.session });
  });

  router.get("/confirm", ...members, (ctx) => {
    ctx.body = views.confirm({ user: ctx.state.user, password: PASSWORD });
  });

  router.post("/confirm", ...members, async (ctx) => {
    const { user } = ctx.state;
    if (!isRight(ctx, user, (await readForm(ctx)).get("password"))) {
      ctx.status = 422;
      ctx.body = views.confirm({ user, password: PASSWORD, error: "That is not the password" });
      return;
    }
    ctx.session.reauthenticate({ methods: ["pwd"] });
    ctx.status = 303;
    ctx.redirect(returnPath(ctx.query.to));
  });

  // Whoever finds an open tab can't delete the account: the sign-in must be a minute old at most.
  const isFresh = requireSession({
    within: MINUTE,
    redirect: (_, to) => `/confirm?to=${encodeURIComponent(to === "/" ? "/account/delete" : to)}`,
  });

  const isOneself = requireSession({ user: true, impersonated: false });

  router.get("/account/delete", ...members, isOneself, isFresh, (ctx) => {
    ctx.body = views.deleteAccount(ctx.state.user);
  });

  router.post("/account/delete", ...members, isOneself, isFresh, async (ctx) => {
    await clients.devices(ctx).revokeAll();
    ctx.flash.success(`The account of ${ctx.state.user} is deleted, in every browser`);
    seeOther(ctx, "/sign-in");
  });

  return router;
}

/** Every visit counts, also those of two tabs at the same moment. */
const countVisit: Middleware<Member> = async (ctx, next) => {
  await ctx.session.update("visits", (visits = 0) => visits + 1);
  await next();
};
