import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inspect } from "node:util";
import {
  cookieTracker,
  createSessions,
  memoryStore,
  type SessionEvent,
  type SessionEventName,
  type SessionsOptions,
  type Store,
} from "@lanai/session";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";

const NAMES = [
  "created",
  "renewed",
  "destroyed",
  "gone",
  "dropped",
  "refused",
  "unavailable",
] as const satisfies readonly SessionEventName[];

let events: [name: string, event: SessionEvent][] = [];
const listeners = [...NAMES, "insecure"].map((name) => ({
  channel: `lanai:session:${name}`,
  listener: (event: unknown) => void events.push([name, event as SessionEvent]),
}));
beforeEach(() => {
  events = [];
  for (const { channel, listener } of listeners) subscribe(channel, listener);
});
afterEach(() => {
  for (const { channel, listener } of listeners) unsubscribe(channel, listener);
});

/** The events since the last look. */
const told = () => events.splice(0);
const SECRET = "a value that nobody may see";
const KEYS = ["a key of thirty-two bytes or more"];

describe.each(koaVersions)("on %s", (_version, App) => {
  /** An app whose requests can be held, so that another one comes between. */
  function appOf(options: SessionsOptions = {}) {
    const sessions = createSessions(options);
    const app = new App();
    app.silent = true;
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    app.use(sessions.middleware());
    app.use(async (ctx) => {
      ctx.body = ctx.session.publicId;
      if (ctx.path === "/hold") {
        arrived.resolve();
        await held.promise;
      }
      if (ctx.path === "/set" || ctx.path === "/hold")
        ctx.session.set("secret", SECRET + ctx.search);
      if (ctx.path === "/login") ctx.session.login("ada");
      if (ctx.path === "/renew") ctx.session.renewId();
      if (ctx.path === "/logout") await ctx.session.destroy();
    });
    return { sessions, app, held, arrived };
  }

  /** Neither the browser's ids, past and present, nor what it stored, nor anybody's name. */
  function expectNoSecrets(all: unknown, ids: Iterable<string>): void {
    const shown = inspect(all, { depth: 20, showHidden: true });
    for (const id of ids) expect(shown.includes(id)).toBe(false);
    expect(shown.includes(SECRET)).toBe(false);
    expect(shown.includes("ada")).toBe(false);
  }

  test("created, renewed and destroyed name the session by its publicId", async () => {
    const { app } = appOf();
    await using served = await serve(app);
    const browser = new Browser(served);
    const ids = new Set<string>();
    const all: unknown[] = [];
    const visit = async (path: string) => {
      await browser.get(path);
      ids.add(browser.cookies.get("sid") ?? "none");
      const seen = told();
      all.push(...seen);
      return seen;
    };
    expect(await visit("/")).toEqual([]);
    expect(await visit("/set")).toEqual([
      [
        "created",
        { level: "info", property: "session", publicId: expect.stringMatching(/^[\w-]{22}$/) },
      ],
    ]);
    const publicId = await browser.text("/");
    const event = { level: "info", property: "session", publicId };
    expect(await visit("/set?again")).toEqual([]);
    expect(await visit("/renew")).toEqual([["renewed", event]]);
    expect(await visit("/login")).toEqual([["renewed", event]]);
    expect(await visit("/logout")).toEqual([["destroyed", event]]);
    ids.delete("none");
    expect(ids.size).toBe(3);
    expectNoSecrets(all, ids);
  });

  test("an end by owner or by publicId is destroyed, with the property of its manager", async () => {
    const { app, sessions } = appOf({ property: "session" });
    await using served = await serve(app);
    const [one, other] = [new Browser(served), new Browser(served)];
    for (const browser of [one, other]) await browser.get("/login");
    const publicIds = [await one.text("/"), await other.text("/")] as const;
    told();
    await sessions.destroyByPublicId({ user: "ada" }, publicIds[0]);
    expect(told()).toEqual([
      ["destroyed", { level: "info", property: "session", publicId: publicIds[0] }],
    ]);
    await sessions.destroyAll({ user: "ada" });
    expect(told()).toEqual([
      ["destroyed", { level: "info", property: "session", publicId: publicIds[1] }],
    ]);
  });

  test("gone tells of a change that came after the end", async () => {
    const { app, held, arrived } = appOf();
    await using served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/set");
    const publicId = await browser.text("/");
    const ids = [...browser.cookies.values()];
    const slow = browser.clone().get("/hold?late");
    await arrived.promise;
    await browser.get("/logout");
    told();
    held.resolve();
    await slow;
    const seen = told();
    expect(seen).toEqual([["gone", { level: "info", property: "session", publicId }]]);
    expectNoSecrets(seen, ids);
  });

  test("dropped tells of a request with a renewed id that set something", async () => {
    const { app } = appOf();
    await using served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/set");
    const stale = browser.clone();
    await browser.get("/renew");
    told();
    await stale.get("/");
    expect(told()).toEqual([]);
    await stale.get("/set?late");
    const seen = told();
    expect(seen).toEqual([["dropped", { level: "info", property: "session" }]]);
    expectNoSecrets(seen, [...browser.cookies.values(), ...stale.cookies.values()]);
  });

  test.each([
    ["malformed", {}, "sid=nonsense"],
    ["unknown", {}, `sid=${"A".repeat(43)}`],
    ["signature", { tracker: cookieTracker({ keys: KEYS }) }, "sid=forged.forged"],
  ])("refused tells why: %s", async (reason, options, cookie) => {
    const { app } = appOf(options);
    await using served = await serve(app);
    await fetch(served.url, { headers: { cookie } });
    expect(told()).toEqual([["refused", { level: "warn", property: "session", reason }]]);
  });

  test("a session that outlived a timeout that was lowered since is refused as expired, and destroyed", async () => {
    let now = Date.now();
    const store = memoryStore({ clock: () => now });
    await using generous = await serve(appOf({ store, idleTimeout: 60_000 }).app);
    const browser = new Browser(generous);
    await browser.get("/set");
    const publicId = await browser.text("/");
    told();
    now += 30_000;
    await using strict = await serve(appOf({ store, idleTimeout: 20_000 }).app);
    await fetch(strict.url, { headers: { cookie: browser.cookie } });
    const seen = told();
    expect(seen).toEqual([
      ["refused", { level: "info", property: "session", publicId, reason: "expired" }],
      ["destroyed", { level: "info", property: "session", publicId }],
    ]);
    expectNoSecrets(seen, browser.cookies.values());
  });

  test("unavailable tells of a store that fails, with the cause", async () => {
    const inner = memoryStore();
    let broken: Error | undefined;
    const store: Store = {
      ...inner,
      load(key) {
        if (broken) throw broken;
        return inner.load(key);
      },
    };
    const { app } = appOf({ store });
    await using served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/set");
    told();
    broken = new Error("connection refused");
    const response = await browser.get("/");
    expect(response.status).toBe(503);
    const seen = told();
    expect(seen).toEqual([
      [
        "unavailable",
        {
          level: "error",
          property: "session",
          error: expect.objectContaining({ code: "ERR_SESSION_STORE_UNAVAILABLE", cause: broken }),
        },
      ],
    ]);
    expectNoSecrets(seen, browser.cookies.values());
  });

  test("insecure tells of an HTTPS request that Koa takes for plain HTTP", async () => {
    const { app } = appOf();
    await using served = await serve(app);
    await fetch(served.url, { headers: { "X-Forwarded-Proto": "https" } });
    expect(told()).toEqual([
      ["insecure", { level: "warn", message: expect.stringContaining("set app.proxy = true") }],
    ]);
    app.proxy = true;
    await fetch(served.url, { headers: { "X-Forwarded-Proto": "https" } });
    expect(told()).toEqual([]);
  });

  test("an event says whose it is where there are several managers", async () => {
    const admins = createSessions({ property: "admin", name: "admin" });
    const { app } = appOf();
    app.middleware.unshift(admins.middleware());
    await using served = await serve(app);
    await fetch(served.url, { headers: { cookie: "admin=nonsense" } });
    expect(told()).toEqual([
      ["refused", { level: "warn", property: "admin", reason: "malformed" }],
    ]);
  });
});
