import type { AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import Koa, { type Context } from "koa";
import type { IndexedStore } from "../../indexed-store.ts";
import { isPaged } from "../../paged-store.ts";
import { createSessions } from "../../sessions.ts";
import { randomFrom } from "../random.ts";
import { openStoreAt, type StoreAt } from "./store-at.ts";

export interface AppOptions {
  readonly at: StoreAt;
  readonly seed: number;
  /** The error of this process's clock, in milliseconds. Default: 0. */
  readonly clockError?: number;
  /** The idle timeout of its sessions, in milliseconds. Default: that of the manager. */
  readonly idleTimeout?: number;
  /** The greatest number of sessions of a user. Default: 100. */
  readonly limit?: number;
}

/** The app that `startApp` starts: a Koa app on the store, until the test's process ends. */
async function run(options: AppOptions): Promise<void> {
  const { at, seed, clockError = 0, idleTimeout, limit = 100 } = options;
  const { now } = Date;
  Date.now = () => now() + clockError;
  const inner = await openStoreAt(at);
  const dawdle = dawdler(inner, seed);
  const store = dawdling(inner, dawdle);
  // Nothing here is meant to be an outage, however busy the machine is.
  const settings = {
    store,
    storeTimeout: 300_000,
    ...(idleTimeout !== undefined && { idleTimeout }),
  };
  const limited = (overflow: "refuse" | "end-oldest") =>
    inner.limitsOwners && { maxSessionsPerUser: { limit, overflow } };
  const sessions = createSessions({ ...settings, ...limited("end-oldest") });
  /** The same, but for a user who has enough sessions. */
  const strict = createSessions({
    ...settings,
    property: "strict",
    ...limited("refuse"),
  });

  const app = new Koa();
  app.silent = true;
  app.use(async (ctx, next) => {
    if (ctx.path !== "/end-all") return next();
    await dawdle();
    ctx.body = { ended: await sessions.destroyAll({ user: String(ctx.query.user) }) };
  });
  app.use(async (ctx, next) => {
    if (ctx.path !== "/end-everyone") return next();
    await dawdle();
    ctx.body = { ended: await sessions.destroyAll({ everyone: true }) };
  });
  app.use(async (ctx, next) => {
    if (ctx.path !== "/label") return next();
    const { user, of, label } = ctx.query;
    await dawdle();
    ctx.body = { named: await sessions.labelDevice({ user: `${user}` }, `${of}`, `${label}`) };
  });
  app.use(async (ctx, next) => {
    if (ctx.path !== "/strict") return next();
    await strict.middleware()(ctx, async () => {
      await dawdle();
      strict.from(ctx).login(String(ctx.query.user));
      ctx.body = {};
    });
  });
  app.use(sessions.middleware());
  const routes = handlers(dawdle);
  app.use(async (ctx) => {
    // Whether the request had found its session, reported beside the answer.
    ctx.state.found = { "x-was-in": `${ctx.session.userId !== undefined}` };
    ctx.body = (await routes[ctx.path]?.(ctx)) ?? {};
    ctx.set(ctx.state.found);
  });
  const server = app.listen(0, "127.0.0.1", () => {
    process.send?.((server.address() as AddressInfo).port);
  });
  // A client that a busy machine holds up may use a connection again that has been idle for seconds.
  server.keepAliveTimeout = 0;
}

const CALLS = [
  ...(["load", "create", "commit", "destroy"] as const),
  ...(["list", "commitByPublicId", "destroyByPublicId", "destroyAll"] as const),
];

/** A store that takes its time before each call and after it. */
function dawdling(inner: IndexedStore, dawdle: () => Promise<void>): IndexedStore {
  const slowly =
    <A extends unknown[]>(call: (...args: A) => unknown) =>
    async (...args: A) => {
      await dawdle();
      const answer = await call(...args);
      await dawdle();
      return answer;
    };
  const slow = CALLS.map((name) => [name, slowly(inner[name] as (...args: never[]) => unknown)]);
  return {
    ...{ ...inner, ...Object.fromEntries(slow) },
    ...(isPaged(inner) && { destroyPage: slowly(inner.destroyPage) }),
  };
}

/** Lets a random while go by, in steps that a store or an event loop takes. */
function dawdler(store: IndexedStore, seed: number): () => Promise<void> {
  const random = randomFrom(seed);
  const unknown = `-.${"-".repeat(43)}`;
  return async () => {
    for (let steps = random(4); steps > 0; steps--) {
      await (random(2) === 0 ? store.load(unknown) : turn());
    }
  };
}

function handlers(dawdle: () => Promise<void>): Record<string, (ctx: Context) => unknown> {
  /** A handler ends in many ways: all must keep what was set. */
  const end = async (ctx: Context): Promise<void> => {
    switch (ctx.query.how) {
      case "late":
        return dawdle();
      case "commit":
        // Refused with 401 if a sign-out was faster.
        await ctx.session.commit();
        return dawdle();
      case "throw":
        ctx.throw(403, { headers: ctx.state.found });
    }
  };
  return {
    "/set": async (ctx) => {
      if (ctx.query.how === "late") await dawdle();
      ctx.session.set(String(ctx.query.key), String(ctx.query.value));
      await end(ctx);
    },
    "/login": async (ctx) => {
      await dawdle();
      ctx.session.login(String(ctx.query.user));
      if (ctx.query.from) ctx.session.set("from", ctx.query.from);
      await end(ctx);
    },
    "/act": async (ctx) => {
      await dawdle();
      ctx.session.impersonate(String(ctx.query.user));
      await end(ctx);
    },
    "/stop": async (ctx) => ({ stopped: await ctx.session.stopImpersonating() }),
    "/renew": async (ctx) => {
      await dawdle();
      ctx.session.renewId();
      await end(ctx);
    },
    "/again": async (ctx) => {
      await dawdle();
      // Who came with a dead id is a stranger.
      if (ctx.session.userId === undefined) return;
      ctx.session.reauthenticate({ methods: [String(ctx.query.by)] });
      await end(ctx);
    },
    "/logout": async (ctx) => {
      await dawdle();
      await ctx.session.destroy();
    },
    "/count": async (ctx) => {
      await ctx.session.update("count", (count) => Number(count ?? 0) + 1);
      await end(ctx);
    },
    "/pop": async (ctx) => ({ popped: (await ctx.session.pop("once")) ?? null }),
    "/read": (ctx) => ({
      user: ctx.session.userId ?? null,
      by: ctx.session.impersonator?.userId ?? null,
      methods: ctx.session.methods,
      // A new session has one of its own in each process.
      publicId: ctx.session.isNew ? null : ctx.session.publicId,
      ...ctx.session.toJSON(),
    }),
  };
}

process.once("disconnect", () => process.exit());
run(JSON.parse(process.argv[2] as string)).catch((error) => {
  console.error(error);
  process.exit(1);
});
