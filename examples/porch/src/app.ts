import Router from "@koa/router";
import { flash } from "@lanai/flash";
import { requireSession, type Sessions } from "@lanai/session";
import Koa, { type Context, type Middleware } from "koa";
import { assets } from "./assets.ts";
import { readForm } from "./form.ts";
import { sameOriginOnly, securityHeaders } from "./security.ts";
import * as views from "./views.ts";

declare module "@lanai/session" {
  interface SessionData {
    visits: number;
  }
}

/** What `authRequired` knows, for the routes behind it. */
interface Member {
  user: string;
}

const DAY = 24 * 60 * 60 * 1000;

/** The page shows it. An app of your own keeps a slow hash of each user's (Argon2, scrypt). */
const PASSWORD = "aloha";

/** The app, on any sessions: any store, any tracker. */
export function porch(sessions: Sessions): Koa {
  const app = new Koa();
  app.use(securityHeaders);
  app.use(assets);
  app.use(sameOriginOnly);
  app.use(sessions.middleware());
  app.use(flash());
  app.use(notFound);
  for (const router of [everyone(), members(sessions)]) {
    app.use(router.routes());
    app.use(router.allowedMethods());
  }
  return app;
}

function everyone(): Router {
  const router = new Router();

  router.get("/", async (ctx) => {
    ctx.body = views.welcome(ctx.session.userId);
  });

  router.get("/sign-in", async (ctx) => {
    // What it says once must not be said again out of a cache.
    ctx.set("Cache-Control", "no-store");
    if (ctx.session.userId !== undefined) return ctx.redirect("/home");
    ctx.body = views.signIn({ password: PASSWORD, messages: await ctx.flash.pop() });
  });

  router.post("/sign-in", async (ctx) => {
    const form = await readForm(ctx);
    const name = form.get("name")?.trim() ?? "";
    if (form.get("password") !== PASSWORD || name === "" || name.length > 40) {
      ctx.status = 422;
      ctx.body = views.signIn({ password: PASSWORD, name, error: "Invalid credentials" });
      return;
    }
    ctx.session.login(name);
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

  return router;
}

/** The pages behind the door: what the router uses runs before each of its routes, and no others. */
function members(sessions: Sessions): Router<Member> {
  const router = new Router<Member>();
  router.use(authRequired);

  router.get("/home", countVisit, async (ctx) => {
    ctx.body = views.home({
      user: ctx.state.user,
      messages: await ctx.flash.pop(),
      visits: ctx.session.getInt("visits"),
      session: ctx.session,
    });
  });

  router.get("/devices", async (ctx) => {
    const { user } = ctx.state;
    ctx.body = views.devices({
      user,
      messages: await ctx.flash.pop(),
      current: ctx.session.publicId,
      sessions: await sessions.list({ user }),
    });
  });

  router.post("/devices/end", async (ctx) => {
    const { user } = ctx.state;
    const publicId = (await readForm(ctx)).get("session") ?? "";
    const found = await sessions.destroyByPublicId({ user }, publicId);
    if (found) ctx.flash.success("That session is signed out");
    else ctx.flash("That session had ended");
    seeOther(ctx, "/devices");
  });

  router.post("/devices/end-others", async (ctx) => {
    const { user } = ctx.state;
    const { publicId } = ctx.session;
    const count = await sessions.destroyAll({ user }, publicId ? { except: publicId } : {});
    ctx.flash.success(`Signed out elsewhere: ${count}`);
    seeOther(ctx, "/devices");
  });

  return router;
}

/** Sends strangers to the sign-in page, with a message that is shown once. */
const authRequired: Middleware<Member> = async (ctx, next) => {
  const { userId } = ctx.session;
  if (userId === undefined) {
    ctx.flash.warning("Please log in first");
    return ctx.redirect("/sign-in");
  }
  ctx.state.user = userId;
  // Or the back button would show these pages to whoever comes after a sign-out.
  ctx.set("Cache-Control", "no-store");
  await next();
};

/** Every visit counts, also those of two tabs at the same moment. */
const countVisit: Middleware<Member> = async (ctx, next) => {
  await ctx.session.update("visits", (visits = 0) => visits + 1);
  await next();
};

const notFound: Middleware = async (ctx, next) => {
  await next();
  if (ctx.status !== 404 || ctx.body !== undefined) return;
  ctx.status = 404;
  ctx.body = views.notFound(ctx.session.userId);
};

/** After a POST: the browser gets the next page, and a reload posts nothing again (RFC 9110, 15.4.4). */
function seeOther(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.redirect(path);
}
