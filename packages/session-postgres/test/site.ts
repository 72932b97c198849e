import { createSessions, type SessionsOptions } from "@lanai/session";
import Koa, { type Context } from "koa";
import { type Served, serve } from "../../session/test/http.ts";

export type Routes = Readonly<Record<string, (ctx: Context) => unknown>>;

export interface Site extends Served {
  /** What the app's `error` event told. */
  readonly errors: Error[];
}

const routes: Routes = {
  "/login": (ctx) => {
    ctx.session.login("ada");
    return "in";
  },
  "/logout": async (ctx) => {
    await ctx.session.destroy();
    return "out";
  },
  "/read": (ctx) => `${ctx.session.userId}: ${ctx.session.get("n") ?? 0}`,
  "/set": (ctx) => {
    ctx.session.set("n", ctx.query.n);
    return "set";
  },
  "/count": (ctx) => ctx.session.update("n", (n) => Number(n ?? 0) + 1).then(String),
  "/nothing": () => "nothing",
};

/** An app with sessions and a few handlers. */
export async function site(options: SessionsOptions, more: Routes = {}): Promise<Site> {
  const all = { ...routes, ...more };
  const errors: Error[] = [];
  const app = new Koa();
  app.on("error", (error) => errors.push(error));
  app.use(createSessions(options).middleware());
  app.use(async (ctx) => {
    ctx.body = await all[ctx.path]?.(ctx);
  });
  return { ...(await serve(app)), errors };
}
