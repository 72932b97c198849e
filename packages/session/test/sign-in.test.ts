import {
  createSessions,
  memoryStore,
  type RequireSessionOptions,
  requireSession,
  returnPath,
  type Session,
} from "@lanai/session";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "./http.ts";

const MINUTE = 60_000;
/** The store's clock is an hour ahead of the process's: whatever mixes the two is far off. */
const AHEAD = 60 * MINUTE;

function manager() {
  let now = Date.now() + AHEAD;
  const store = memoryStore({ clock: () => now });
  const sessions = createSessions({ store });
  return {
    sessions,
    now: () => now,
    advance(ms: number) {
      now += ms;
    },
    async open(session: Session): Promise<Session> {
      const opened = await sessions.open(session.id as string);
      if (opened === undefined) throw new Error("the session has ended");
      return opened;
    },
  };
}

describe("when and how someone signed in", () => {
  test("authenticatedAt is the instant of the sign-in by the store's clock, whatever is stored later", async () => {
    const { sessions, now, advance, open } = manager();
    const { session } = await sessions.create({ values: { cart: ["tea"] } });
    expect([session.authenticatedAt, session.methods]).toEqual([undefined, []]);
    advance(MINUTE);
    const visitor = await open(session);
    visitor.login("ada", { methods: ["pwd", "otp"] });
    expect(visitor.methods).toEqual(["pwd", "otp"]);
    await visitor.commit();
    const signedInAt = now();
    advance(MINUTE);
    const later = await open(visitor);
    later.set("theme", "dark");
    later.renewId();
    await later.commit();
    const last = await open(later);
    expect(last.authenticatedAt?.getTime()).toBe(signedInAt);
    expect(last.methods).toEqual(["pwd", "otp"]);
    expect(last.keys()).toEqual(["cart", "theme"]);
  });

  test("a sign-in without methods leaves none of the former", async () => {
    const { sessions, open } = manager();
    const { session } = await sessions.create({ userId: "ada" });
    session.login("ada", { methods: ["otp"] });
    await session.commit();
    const again = await open(session);
    again.login("ada");
    await again.commit();
    expect((await open(again)).methods).toEqual([]);
  });

  test("another user's sign-in takes no methods over", async () => {
    const { sessions, open } = manager();
    const { session } = await sessions.create({ userId: "ada" });
    session.login("ada", { methods: ["otp"] });
    await session.commit();
    const other = await open(session);
    other.login("bob");
    await other.commit();
    expect([other.userId, (await open(other)).methods]).toEqual(["bob", []]);
  });

  test.each([
    ["a text", "otp"],
    ["an empty name", [""]],
    ["a quote", ['o"tp']],
    ["a line break", ["otp\r\n"]],
    ["a name twice", ["otp", "otp"]],
    ["17 names", Array.from({ length: 17 }, (_, i) => `m${i}`)],
    ["a number", [7]],
    ["65 characters", ["a".repeat(65)]],
  ])("methods with %s are refused everywhere", async (_what, methods) => {
    const { session } = await manager().sessions.create({ userId: "ada" });
    const bad = { methods } as { methods: string[] };
    expect(() => session.login("ada", bad)).toThrow(/login\(userId, options\): methods must be/);
    expect(() => session.reauthenticate(bad)).toThrow(/reauthenticate\(options\): methods must be/);
    expect(() => requireSession(bad)).toThrow(/requireSession: methods must be/);
    expect(session.hasSignedIn).toBe(true);
  });
});

describe("reauthenticate", () => {
  test("has a fresh instant, a new id and the same data; the old id opens nothing", async () => {
    const { sessions, now, advance, open } = manager();
    const { session } = await sessions.create({ userId: "ada", values: { theme: "dark" } });
    advance(10 * MINUTE);
    const again = await open(session);
    expect(again.hasSignedIn).toBe(false);
    again.reauthenticate({ methods: ["otp"] });
    expect(again.hasSignedIn).toBe(true);
    await again.commit();
    expect(again.id).not.toBe(session.id);
    expect(await sessions.open(session.id as string)).toBeUndefined();
    const last = await open(again);
    expect(last.authenticatedAt?.getTime()).toBe(now());
    expect([last.publicId, last.userId]).toEqual([session.publicId, "ada"]);
    expect([last.methods, last.get("theme")]).toEqual([["otp"], "dark"]);
  });

  test("keeps a session that stays signed in", async () => {
    const { sessions, advance, open } = manager();
    const { session } = await sessions.create({ userId: "ada" });
    session.persist(30 * 24 * 60 * MINUTE);
    await session.commit();
    const again = await open(session);
    again.reauthenticate();
    await again.commit();
    advance(29 * 24 * 60 * MINUTE);
    expect((await open(again)).userId).toBe("ada");
  });

  test("nobody is signed in: ERR_SESSION_REQUIRED, and nothing is stored", async () => {
    const { session } = await manager().sessions.create({ values: { n: 1 } });
    expect(() => session.reauthenticate({ methods: ["otp"] })).toThrow(
      expect.objectContaining({ code: "ERR_SESSION_REQUIRED", status: 401 }),
    );
    expect([session.hasSignedIn, session.methods]).toEqual([false, []]);
  });

  test.each([
    ["renewId", "RENEWED", (it: Session) => it.renewId()],
    ["login of the same user", "RENEWED", (it: Session) => it.login("ada")],
    ["login of another user", "GONE", (it: Session) => it.login("bob")],
    ["reauthenticate", "RENEWED", (it: Session) => it.reauthenticate({ methods: ["pwd"] })],
  ])(
    "beside a %s that comes first it is ERR_SESSION_%s, and makes nobody else's id fresh",
    async (_what, name, act) => {
      const code = `ERR_SESSION_${name}`;
      const { sessions, advance, open } = manager();
      const { session } = await sessions.create({ userId: "ada" });
      advance(10 * MINUTE);
      const first = await open(session);
      const second = await open(session);
      act(first);
      second.reauthenticate({ methods: ["otp"] });
      await first.commit();
      await expect(second.commit()).rejects.toMatchObject({ code });
      expect((await open(first)).methods).not.toContain("otp");
    },
  );

  test("a session that has ended meanwhile stays ended", async () => {
    const { sessions, open } = manager();
    const { session } = await sessions.create({ userId: "ada" });
    const again = await open(session);
    await sessions.destroyAll({ user: "ada" });
    again.reauthenticate();
    await expect(again.commit()).rejects.toMatchObject({ code: "ERR_SESSION_GONE" });
    expect(await sessions.list({ user: "ada" })).toEqual([]);
  });
});

describe("requireSession", () => {
  async function site(options: RequireSessionOptions) {
    const { sessions, advance } = manager();
    const app = new Koa();
    app.silent = true;
    app.use(sessions.middleware());
    const guard = requireSession(options);
    app.use(async (ctx) => {
      const methods = ctx.query.by === undefined ? [] : [ctx.query.by].flat();
      ctx.body = "done";
      if (ctx.path === "/login") ctx.session.login("ada", { methods });
      else if (ctx.path === "/again") ctx.session.reauthenticate({ methods });
      else if (ctx.path === "/visit") ctx.session.set("n", 1);
      else {
        ctx.body = "inside";
        await guard(ctx, async () => {});
      }
    });
    const served = await serve(app);
    const browser = new Browser(served);
    return { served, browser, advance, [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() };
  }

  test("a sign-in older than within is a 401 with max_age, and a fresh one is let in", async () => {
    await using at = await site({ within: 5 * MINUTE });
    await at.browser.get("/login");
    at.advance(4 * MINUTE);
    expect(await at.browser.text("/")).toBe("inside");
    at.advance(2 * MINUTE);
    const refused = await at.browser.get("/");
    expect([refused.status, await refused.text()]).toEqual([401, "sign in again"]);
    expect(refused.headers.get("WWW-Authenticate")).toBe(
      'Session realm="session", code="ERR_SESSION_INSUFFICIENT", error="insufficient_user_authentication", max_age=300',
    );
    expect(refused.headers.get("Cache-Control")).toBe("no-store");
    await at.browser.get("/again");
    expect(await at.browser.text("/")).toBe("inside");
  });

  test("use of a session makes no sign-in fresh", async () => {
    await using at = await site({ within: 5 * MINUTE });
    await at.browser.get("/login");
    for (let minute = 0; minute < 6; minute++) {
      at.advance(MINUTE);
      await at.browser.get("/visit");
    }
    expect((await at.browser.get("/")).status).toBe(401);
  });

  test("all methods must be those of the last sign-in", async () => {
    await using at = await site({ methods: ["pwd", "otp"] });
    await at.browser.get("/login?by=pwd");
    const refused = await at.browser.get("/");
    expect(refused.headers.get("WWW-Authenticate")).toContain(
      'error="insufficient_user_authentication", methods="pwd otp"',
    );
    await at.browser.get("/again?by=otp");
    expect((await at.browser.get("/")).status).toBe(401);
    await at.browser.get("/again?by=otp&by=pwd");
    expect(await at.browser.text("/")).toBe("inside");
  });

  test.each([{ within: MINUTE }, { methods: [] }])("%j asks for a user", async (options) => {
    await using at = await site(options);
    await at.browser.get("/visit");
    const refused = await at.browser.get("/");
    expect(refused.headers.get("WWW-Authenticate")).toBe(
      'Session realm="session", code="ERR_SESSION_REQUIRED"',
    );
  });

  test.each([
    ["/delete?id=7", "/delete?id=7"],
    ["//evil.example/x", "/"],
    ["/\\evil.example", "/"],
  ])("a redirect from %s returns to %s", async (target, expected) => {
    const redirect = (_ctx: unknown, to: string) => `/sign-in?to=${encodeURIComponent(to)}`;
    const guard = requireSession({ within: MINUTE, redirect });
    const { sessions } = manager();
    const app = new Koa();
    app.use(sessions.middleware());
    app.use(async (ctx) => {
      ctx.originalUrl = target;
      await guard(ctx, async () => {});
    });
    await using served = await serve(app);
    const response = await fetch(served.url, { redirect: "manual" });
    expect(response.headers.get("Location")).toBe(`/sign-in?to=${encodeURIComponent(expected)}`);
    const post = await fetch(served.url, { method: "POST", redirect: "manual" });
    expect(post.headers.get("Location")).toBe("/sign-in?to=%2F");
  });

  test.each([
    [{ within: 999 }, "within must be a finite number of milliseconds from 1000, got 999"],
    [{ within: Number.NaN }, "got NaN"],
    [{ within: Number.POSITIVE_INFINITY }, "got Infinity"],
    [{ within: "5m" as never }, "got string"],
    [{ user: false, within: MINUTE }, "leave out user: false"],
    [{ age: 1 } as never, 'there is no option "age"'],
  ])("%j is refused at construction", (options, message) => {
    expect(() => requireSession(options)).toThrow(message);
  });
});

test.each([
  ["/", "/"],
  ["/a/b?c=d&e=/#f", "/a/b?c=d&e=/#f"],
  ["/%2F/evil.example", "/%2F/evil.example"],
  ["", "/"],
  ["a", "/"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["\\\\evil.example", "/"],
  ["/\t/evil.example", "/"],
  ["/\n/evil.example", "/"],
  ["/.//evil.example", "/"],
  ["/a/..//evil.example", "/"],
  ["/%2e//evil.example", "/"],
  [" //evil.example", "/"],
  ["https://evil.example", "/"],
  ["javascript:alert(1)", "/"],
  [["/a"], "/"],
  [undefined, "/"],
])("the return path of %j is %j", (text, expected) => {
  expect(returnPath(text)).toBe(expected);
});

test("a return path has 2,048 characters at most", () => {
  const path = `/${"a".repeat(2047)}`;
  expect([returnPath(path), returnPath(`${path}a`)]).toEqual([path, "/"]);
});
