import Router from "@koa/router";
import { flash } from "@lanai/flash";
import { createSessions, headerTracker, memoryStore, session } from "@lanai/session";
import Koa, { type Context, type Middleware } from "koa";
import { expect, test } from "vitest";
import { Browser, type Served, serve } from "../../session/test/http.ts";

const leave = (ctx: Context) => {
  ctx.flash(String(ctx.query.text ?? "text"));
  ctx.body = "left";
};
const page = async (ctx: Context) => {
  ctx.body = (await ctx.flash.pop()).map(({ message }) => message);
};

const start = (mount: (app: Koa) => unknown): Promise<Served> => {
  const app = new Koa();
  app.silent = true;
  mount(app);
  return serve(app);
};

const handler: Middleware = (ctx) => (ctx.path === "/leave" ? leave(ctx) : page(ctx));

/** Left on one route, read on another, and gone. */
async function expectToWork(served: Served, prefix = ""): Promise<void> {
  const browser = new Browser(served);
  expect(await browser.text(`${prefix}/leave`)).toBe("left");
  expect(await browser.text(`${prefix}/page`)).toBe('["text"]');
  expect(await browser.text(`${prefix}/page`)).toBe("[]");
}

test("for the whole app", async () => {
  const router = new Router();
  router.get("/leave", leave).get("/page", page);
  await using served = await start((app) => app.use(session()).use(flash()).use(router.routes()));
  await expectToWork(served);
});

test("for a group, and not beside it", async () => {
  const group = new Router({ prefix: "/group" });
  group.use(flash());
  group.get("/leave", leave).get("/page", page);
  const router = new Router();
  router.get("/beside", (ctx) => {
    ctx.body = typeof ctx.flash;
  });
  await using served = await start((app) =>
    app.use(session()).use(group.routes()).use(router.routes()),
  );
  await expectToWork(served, "/group");
  expect(await new Browser(served).text("/beside")).toBe("undefined");
});

test("for single routes, with a session of the routes too", async () => {
  const sessions = createSessions();
  const router = new Router();
  router.get("/leave", sessions.middleware(), flash(), leave);
  router.get("/page", sessions.middleware(), flash(), page);
  await using served = await start((app) => app.use(router.routes()));
  await expectToWork(served);
});

test("at all three levels it is one", async () => {
  const router = new Router();
  router.use(flash({ property: "session" }));
  router.get("/leave", flash({ life: "until-read" }), leave);
  const now: Middleware = (ctx, next) => {
    ctx.flash.now("now");
    return next();
  };
  router.get("/page", now, flash(), page);
  await using served = await start((app) => app.use(session()).use(flash()).use(router.routes()));
  const browser = new Browser(served);
  await browser.get("/leave");
  expect(await browser.text("/page")).toBe('["text","now"]');
});

test("before the session, for handlers that come after it", async () => {
  await using served = await start((app) => app.use(flash()).use(session()).use(handler));
  await expectToWork(served);
});

test("on a session at another property, by another tracker", async () => {
  const tabs = createSessions({ property: "tab", tracker: headerTracker({ name: "X-Tab" }) });
  await using served = await start((app) =>
    app
      .use(session())
      .use(tabs.middleware())
      .use(flash({ property: "tab" }))
      .use(handler),
  );
  const left = await fetch(`${served.url}/leave`);
  expect(left.headers.getSetCookie()).toEqual([]);
  const headers = { "X-Tab": left.headers.get("x-tab") ?? "" };
  for (const seen of ['["text"]', "[]"]) {
    expect(await (await fetch(`${served.url}/page`, { headers })).text()).toBe(seen);
  }
});

test.each([{ property: "tab" }, { life: "next-request" }, { maxMessages: 1 }] as const)(
  "twice with other options (%o) is an error",
  async (options) => {
    const errors: unknown[] = [];
    const app = new Koa();
    app.on("error", (error) => errors.push(error));
    for (const each of [session(), flash(), flash(options)]) app.use(each);
    await using served = await serve(app);
    expect((await new Browser(served).get("/")).status).toBe(500);
    const message = expect.stringContaining("ctx.flash is there already");
    expect(errors).toMatchObject([{ code: "ERR_FLASH_TAKEN", message }]);
  },
);

test("beside another package's ctx.flash it is an error", async () => {
  const errors: unknown[] = [];
  const app = new Koa();
  app.on("error", (error) => errors.push(error));
  Object.assign(app.context, { flash: () => "another package's" });
  for (const each of [session(), flash()]) app.use(each);
  await using served = await serve(app);
  expect((await new Browser(served).get("/")).status).toBe(500);
  expect(errors).toMatchObject([{ code: "ERR_FLASH_TAKEN" }]);
});

test("a store that the handlers know nothing of", async () => {
  const store = memoryStore();
  await using served = await start((app) => app.use(session({ store })).use(flash()).use(handler));
  await expectToWork(served);
  expect(store.size).toBe(1);
});
