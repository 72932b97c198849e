import { createSessions } from "@lanai/session";
import { type RedisClient, type RedisStoreOptions, redisStore } from "@lanai/session-redis";
import Koa, { type Context } from "koa";
import { type Served, serve } from "../../session/test/http.ts";

/** A server frozen or gone is to be noticed soon, and a slow machine not to be taken for one. */
const STORE_TIMEOUT = 3_000;

type Handler = (ctx: Context) => unknown;

export interface App extends Served {
  /** What the app's `error` event told. */
  readonly errors: Error[];
}

/** A small app on a Redis store; more routes can be given. */
export async function startApp(
  redis: RedisClient,
  options: RedisStoreOptions = {},
  more: Record<string, Handler> = {},
  storeTimeout: number = STORE_TIMEOUT,
): Promise<App> {
  const store = redisStore(redis, options);
  const sessions = createSessions({ store, storeTimeout });
  const routes: Record<string, Handler> = {
    "/idle": () => "nothing",
    "/read": (ctx) => ctx.session.toJSON(),
    "/who": (ctx) => ctx.session.userId ?? "nobody",
    "/set": (ctx) => {
      for (const [name, text] of Object.entries(ctx.query)) ctx.session.set(name, text);
      return "set";
    },
    "/login": (ctx) => {
      ctx.session.login(String(ctx.query.user ?? "ada"));
      ctx.session.set("theme", "dark");
      return "welcome";
    },
    "/logout": async (ctx) => {
      await ctx.session.destroy();
      return "bye";
    },
    ...more,
  };
  const errors: Error[] = [];
  const app = new Koa();
  app.on("error", (error) => errors.push(error));
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    ctx.body = await routes[ctx.path]?.(ctx);
  });
  return { ...(await serve(app)), errors };
}
