import {
  createSessions,
  type IndexedStore,
  memoryStore,
  type Session,
  type Store,
} from "@lanai/session";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser, serve } from "./http.ts";

/** A store whose answers a test holds back, after the call was carried out. */
const held = () => {
  const inner = memoryStore();
  let hold: string | undefined;
  let skipped = 0;
  let release = Promise.withResolvers<void>();
  const late =
    <A extends unknown[], T>(name: string, call: (...args: A) => T) =>
    async (...args: A): Promise<T> => {
      const result = call(...args);
      if (hold === name && skipped-- === 0) {
        hold = undefined;
        await release.promise;
      }
      return result;
    };
  const store: IndexedStore = {
    ...inner,
    load: late("load", inner.load),
    create: late("create", inner.create),
    commit: late("commit", inner.commit),
    destroy: late("destroy", inner.destroy),
    list: late("list", inner.list),
    destroyAll: late("destroyAll", inner.destroyAll),
    destroyByPublicId: late("destroyByPublicId", inner.destroyByPublicId),
  };
  return {
    store,
    inner,
    /** Holds back the next answer, or one that comes after others. */
    hold(name: string, after = 0) {
      hold = name;
      skipped = after;
      release = Promise.withResolvers();
    },
    answer: () => release.resolve(),
  };
};

const started = async () => {
  const at = held();
  const sessions = createSessions({ store: at.store, storeTimeout: 50 });
  const ended: string[] = [];
  sessions.onEnd(({ publicId }) => void ended.push(publicId));
  const app = new Koa();
  app.silent = true;
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    if (ctx.path === "/in") {
      ctx.session.login("ada");
      await ctx.session.commit();
    }
    if (ctx.path === "/again") {
      ctx.session.set("a", 1).login("ada");
      await ctx.session.commit().catch(() => {});
      ctx.session.set("a", 2);
      await ctx.session.commit();
    }
    if (ctx.path === "/out") await ctx.session.destroy();
    if (ctx.path === "/out-twice") {
      await ctx.session.destroy().catch(() => {});
      await ctx.session.destroy();
    }
    ctx.body = { user: ctx.session.userId ?? null, ...ctx.session.toJSON() };
  });
  const served = await serve(app);
  return { ...at, sessions, ended, served, browser: () => new Browser(served) };
};

test("S17: a create whose answer was lost is a 503 without a cookie, and leaves no session behind", async () => {
  const inner = memoryStore();
  const create: Store["create"] = async (...args) => {
    inner.create(...args);
    throw new Error("Connection terminated unexpectedly");
  };
  const sessions = createSessions({ store: { ...inner, create } });
  const app = new Koa();
  app.silent = true;
  app.use(sessions.middleware());
  app.use((ctx) => ctx.session.login("ada"));
  await using served = await serve(app);
  const response = await new Browser(served).get("/");
  expect([response.status, response.headers.getSetCookie()]).toEqual([503, []]);
  await until(() => expect(inner.list("user:ada")).toEqual([]));
});

describe("S17: a create that is answered too late", () => {
  test("is a 503 without a cookie, and leaves no session behind", async () => {
    const at = await started();
    await using _ = at.served;
    at.hold("create");
    const response = await at.browser().get("/in");
    expect([response.status, response.headers.getSetCookie()]).toEqual([503, []]);
    at.answer();
    await until(() => expect(at.inner.size).toBe(0));
  });

  test("is one session if it is committed again, with what was set since", async () => {
    const at = await started();
    await using _ = at.served;
    at.hold("create");
    const browser = at.browser();
    const response = await browser.get("/again");
    expect(response.status).toBe(200);
    at.answer();
    expect(await (await browser.get("/")).json()).toEqual({ user: "ada", a: 2 });
    expect(at.inner.size).toBe(1);
  });
});

describe("S17: an end that is answered too late", () => {
  test("is a 503, and reported when the answer comes", async () => {
    const at = await started();
    await using _ = at.served;
    const browser = at.browser();
    await browser.get("/in");
    at.hold("destroy");
    expect((await browser.get("/out")).status).toBe(503);
    expect(at.ended).toEqual([]);
    at.answer();
    await until(() => expect(at.ended).toHaveLength(1));
  });

  test("is reported by the next call that finds the session ended, once", async () => {
    const at = await started();
    await using _ = at.served;
    const browser = at.browser();
    await browser.get("/in");
    at.hold("destroy");
    expect((await browser.get("/out")).status).toBe(503);
    await browser.get("/");
    expect(at.ended).toHaveLength(1);
    at.answer();
    await browser.get("/");
    expect(at.ended).toHaveLength(1);
  });

  test("is a repeat if the request tries again", async () => {
    const at = await started();
    await using _ = at.served;
    const browser = at.browser();
    await browser.get("/in");
    at.hold("destroy");
    expect((await browser.get("/out-twice")).status).toBe(200);
    expect(at.ended).toHaveLength(1);
    expect(browser.cookie).toBe("");
  });

  test("of a whole user is a repeat at the next call", async () => {
    const at = await started();
    await using _ = at.served;
    await at.browser().get("/in");
    at.hold("destroyAll");
    await expect(at.sessions.destroyAll({ user: "ada" })).rejects.toMatchObject({ status: 503 });
    await at.browser().get("/in");
    expect(await at.sessions.destroyAll({ user: "ada" })).toBe(2);
    expect(new Set(at.ended).size).toBe(2);
    expect(at.inner.size).toBe(0);
  });

  test.each(["destroyAll", "destroyByPublicId"])(
    "is counted by the next %s that succeeds, also if one between them failed after the repeat",
    async (name) => {
      const at = await started();
      await using _ = at.served;
      await at.browser().get("/in");
      const [{ publicId = "" } = {}] = await at.sessions.list({ user: "ada" });
      const end = () =>
        name === "destroyAll"
          ? at.sessions.destroyAll({ user: "ada" })
          : at.sessions.destroyByPublicId({ user: "ada" }, publicId);
      at.hold(name);
      await expect(end()).rejects.toMatchObject({ status: 503 });
      // The repeat of the first call, and then the call itself.
      at.hold(name, 1);
      await expect(end()).rejects.toMatchObject({ status: 503 });
      expect(at.ended).toEqual([publicId]);
      expect(Number(await end())).toBe(1);
      expect(at.ended).toEqual([publicId]);
    },
  );
});

test.each<[string, "create" | "commit", string, (session: Session) => void]>([
  ["that creates the session", "create", "/none", (session) => session.set("a", 1)],
  ["that stores a value", "commit", "/session", (session) => session.set("a", 1)],
  ["that signs in", "commit", "/session", (session) => session.login("ada")],
  ["that only extends the idle time", "commit", "/session", () => {}],
])(
  "S11: what is set during the last commit %s is an error, not lost",
  async (_name, call, path, change) => {
    let now = Date.now();
    const memory = memoryStore({ clock: () => now });
    const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let isHeld = false;
    const held =
      <A extends unknown[], T>(method: (...args: A) => T) =>
      async (...args: A): Promise<T> => {
        if (isHeld) {
          reached.resolve();
          await goOn.promise;
        }
        return method(...args);
      };
    const store = { ...memory, [call]: held(memory[call] as Store["create"]) };
    const sessions = createSessions({ store });
    const app = new Koa();
    app.use(sessions.middleware());
    let late: Session | undefined;
    app.use((ctx) => {
      if (ctx.path === "/begin") ctx.session.set("begun", true);
      else if (ctx.path !== "/read") {
        change(ctx.session);
        late = ctx.session;
        isHeld = true;
      }
      ctx.body = ctx.session.toJSON();
    });
    await using served = await serve(app);
    const browser = new Browser(served);
    if (path === "/session") await browser.get("/begin");
    now += 10 * 60_000;
    const responding = browser.get(path);
    await reached.promise;
    expect(() => late?.set("late", 1)).toThrow(
      expect.objectContaining({ code: "ERR_SESSION_SENT" }),
    );
    isHeld = false;
    goOn.resolve();
    expect((await responding).status).toBe(200);
    expect(await browser.text("/read")).not.toContain("late");
    memory.close();
  },
);

test.each([
  ["Cache-Control", "public, max-age=60"],
  ["Cache-Control", 'private="set-cookie", max-age=60'],
  ["Cache-Control", "private, s-maxage=60"],
  ["X-Accel-Expires", "60"],
  ["CDN-Cache-Control", "max-age=60"],
  ["Surrogate-Control", "max-age=60"],
  ["Expires", new Date(Date.now() + 60_000).toUTCString()],
])(
  "S20: a response that sends an id is never publicly cacheable, though the app sets %s: %s",
  async (name, value) => {
    const sessions = createSessions();
    const app = new Koa();
    app.use(async (ctx, next) => {
      await next();
      ctx.set(name, value);
    });
    app.use(sessions.middleware());
    app.use((ctx) => {
      if (ctx.path === "/in") ctx.session.login("ada");
      ctx.body = "ok";
    });
    await using served = await serve(app);
    const { headers } = await fetch(`${served.url}/in`);
    expect(headers.getSetCookie()).toHaveLength(1);
    expect(headers.get("cache-control")).toBe("no-store");
    if (name !== "Cache-Control") expect(headers.get(name)).toBe(null);
    // Without an id the app's word counts.
    const plain = await fetch(served.url);
    expect(plain.headers.get(name)).toBe(value);
  },
);

test.each([
  ["private, max-age=60", new Date(Date.now() + 60_000).toUTCString()],
  [undefined, "0"],
  [undefined, new Date(0).toUTCString()],
])(
  "S20: an Expires that no shared cache obeys stays: Cache-Control: %s, %s",
  async (control, expires) => {
    const sessions = createSessions();
    const app = new Koa();
    app.use(sessions.middleware());
    app.use((ctx) => {
      ctx.session.login("ada");
      if (control !== undefined) ctx.set("Cache-Control", control);
      ctx.set("Expires", expires);
      ctx.body = "ok";
    });
    await using served = await serve(app);
    const { headers } = await fetch(served.url);
    expect(headers.get("cache-control")).toBe(control ?? "no-store");
    expect(headers.get("expires")).toBe(expires);
  },
);
