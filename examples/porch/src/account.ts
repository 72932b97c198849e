import Router from "@koa/router";
import type { Clients } from "@lanai/clients";
import { requireSession } from "@lanai/session";
import type { Middleware } from "koa";
import * as views from "./account-views.ts";
import { readForm, seeOther } from "./form.ts";
import { type Member, membersOnly } from "./members.ts";
import { nameOf } from "./names.ts";
import type { PasswordCheck } from "./password.ts";

declare module "@lanai/session" {
  interface SessionData {
    visits: number;
  }
}

const DAY = 24 * 60 * 60_000;

/** Who somebody is: sign-in, the own session, and sign-out. */
export function account(clients: Clients, isRight: PasswordCheck): Router<Member> {
  const router = new Router<Member>();

  router.get("/sign-in", async (ctx) => {
    // What it says once must not be said again out of a cache.
    ctx.set("Cache-Control", "no-store");
    if (ctx.session.userId !== undefined) return ctx.redirect("/home");
    const text = "This browser was signed out from another tab or browser";
    const ended = "ended" in ctx.query ? [{ level: "warning", message: text }] : [];
    ctx.body = views.signIn({ messages: [...ended, ...(await ctx.flash.pop())] });
  });

  router.post("/sign-in", async (ctx) => {
    const form = await readForm(ctx);
    const name = nameOf(form.get("name"));
    if (name === undefined) return ctx.throw(400, "this can't be a name");
    const isName = name !== "" && name.length <= 40;
    if (!isName || !isRight(ctx, name, form.get("password"))) {
      ctx.status = 422;
      ctx.body = views.signIn({ name, error: "Invalid credentials" });
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

  router.get("/home", membersOnly, clients.middleware(), countVisit, async (ctx) => {
    const { user } = ctx.state;
    const messages = await ctx.flash.pop();
    const visits = ctx.session.getInt("visits");
    ctx.body = views.home({ user, messages, visits, session: ctx.session });
  });

  return router;
}

/** Every visit counts, also those of two tabs at the same moment. */
const countVisit: Middleware<Member> = async (ctx, next) => {
  await ctx.session.update("visits", (visits = 0) => visits + 1);
  await next();
};
