import type { AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { createSessions, type IndexedStore } from "@lanai/session";
import Koa, { type Context } from "koa";
import { steeredStore } from "../steered-store.ts";
import { randomFrom } from "./random.ts";
import { openStoreAt, type StoreAt } from "./store-at.ts";

export interface WorkerOptions {
  readonly at: StoreAt;
  readonly seed: number;
  /** By how many milliseconds this process's clock is wrong. Default: 0. */
  readonly clockError?: number;
  /** Of its sessions, in milliseconds. Default: as without it. */
  readonly idleTimeout?: number;
}

/** One of the two processes: a Koa app on the store, until the test's process goes. */
async function work(options: WorkerOptions): Promise<void> {
  const { at, seed, clockError = 0, idleTimeout } = options;
  const { now } = Date;
  Date.now = () => now() + clockError;
  const inner = await openStoreAt(at);
  const dawdle = dawdler(inner, seed);
  const store = steeredStore(inner);
  store.around = async (_method, call) => {
    await dawdle();
    const answer = await call();
    await dawdle();
    return answer;
  };
  // Nothing here is meant to be an outage, however busy the machine is.
  const sessions = createSessions({
    store,
    storeTimeout: 300_000,
    ...(idleTimeout !== undefined && { idleTimeout }),
  });

  const app = new Koa();
  app.silent = true;
  app.use(async (ctx, next) => {
    store.calls.length = 0;
    store.asked.length = 0;
    if (ctx.path !== "/end-all") return next();
    await dawdle();
    ctx.body = { ended: await sessions.destroyAll({ user: String(ctx.query.user) }) };
  });
  app.use(sessions.middleware());
  const routes = handlers(dawdle);
  app.use(async (ctx) => {
    // Whether the request had found its session, told beside the answer.
    ctx.state.found = { "x-was-in": `${ctx.session.userId !== undefined}` };
    ctx.body = (await routes[ctx.path]?.(ctx)) ?? {};
    ctx.set(ctx.state.found);
  });
  const server = app.listen(0, "127.0.0.1", () => {
    process.send?.((server.address() as AddressInfo).port);
  });
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
    "/renew": async (ctx) => {
      await dawdle();
      ctx.session.renewId();
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
      publicId: ctx.session.publicId ?? null,
      ...ctx.session.toJSON(),
    }),
  };
}

process.once("disconnect", () => process.exit());
work(JSON.parse(process.argv[2] as string)).catch((error) => {
  console.error(error);
  process.exit(1);
});
