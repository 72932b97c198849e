import { createSessions, memoryStore, sealedStore } from "@lanai/session";
import { boundDevice, boundSessions, requireBound } from "@lanai/session-bound";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { Device } from "./device.ts";
import { startSite } from "./site.ts";

const sessions = createSessions({ store: memoryStore() });
const make = (options: object) => () => boundSessions({ sessions, ...options });

describe("boundSessions", () => {
  test.each<[object, RegExp]>([
    [{ sessions: undefined }, /^TypeError: boundSessions: sessions must be .*, got undefined$/],
    [{ sessions: {} }, /^TypeError: boundSessions: sessions must be .*, got object$/],
    [
      {
        sessions: createSessions({
          store: sealedStore({ context: "test", keys: ["k".repeat(32)] }),
        }),
      },
      /^TypeError: boundSessions: sessions must be in a store of the server's/,
    ],
    [{ maxAge: 1 }, /^TypeError: boundSessions: there is no option "maxAge": its options are /],
    [{ path: "bound" }, /path must be .*, got "bound"$/],
    [{ path: "/" }, /path must be .*, got "\/"$/],
    [{ path: "/bound/" }, /path must be /],
    [{ path: "/../bound" }, /path must be /],
    [{ path: '/a";b="' }, /path must be /],
    [{ path: "/a?b" }, /path must be /],
    [{ path: `/${"a".repeat(256)}` }, /path must be .*, got string$/],
    [{ name: "__Host-bound" }, /name must be a cookie name without a prefix/],
    [{ name: "a b" }, /name must be /],
    [{ name: "" }, /name must be .*, got ""$/],
    [{ lifetime: 1_999 }, /^RangeError: .*lifetime must be .* from 2000 to 86400000, got 1999$/],
    [{ lifetime: Infinity }, /^RangeError: .*lifetime must be .*, got Infinity$/],
    [{ lifetime: Number.NaN }, /^RangeError: .*lifetime must be .*, got NaN$/],
    [{ lifetime: "10m" }, /^TypeError: .*lifetime must be a number of milliseconds/],
    [{ grace: -1 }, /^RangeError: .*grace must be .* from 0 to 3600000, got -1$/],
    [{ keys: [] }, /^TypeError: .*keys must be a list of at least one key, got array$/],
    [{ keys: "k".repeat(32) }, /keys must be a list of at least one key, got string$/],
    [{ keys: ["short"] }, /^RangeError: .*keys\[0\] must have at least 32 bytes, got 5$/],
    [
      { scope: { include: [] } },
      /there is no option "scope.include": its options are scope.exclude/,
    ],
    [{ scope: { exclude: ["/"] } }, /scope.exclude must be a list of paths/],
    [{ scope: { exclude: ["/a/../b"] } }, /scope.exclude must be a list of paths/],
    [{ scope: [] }, /scope must be an object, got array$/],
    [{ require: "never" }, /require must be "if-bound", "always" or "by-route", got "never"$/],
    [{ onSkipped: true }, /onSkipped must be "refuse" or "allow", got true$/],
    [{ algorithms: [] }, /algorithms must be a list of ES256, RS256 or both, got array$/],
    [{ algorithms: ["none"] }, /algorithms must be /],
    [{ clients: {} }, /clients must be the clients that createClients returned, got object$/],
    [{ clock: 1 }, /clock must be a function, got number$/],
  ])("refuses %j", (options, message) => {
    let error: unknown;
    try {
      make(options)();
    } catch (thrown) {
      error = thrown;
    }
    expect(String(error)).toMatch(message);
  });

  test("has no clients if none were given", () => {
    expect(() => make({})().clients).toThrow(TypeError);
  });

  test("offers the algorithms that are accepted, in their order", async () => {
    await using site = await startSite({ algorithms: ["RS256"], path: "/a/b" });
    const device = await Device.at(site, "RS256");
    const { headers } = await device.fetch("/sign-in");
    const offer = headers.get("Secure-Session-Registration");
    expect(offer).toBe(`(RS256);path="/a/b/register";challenge="${device.offer}"`);
    const proof = await device.prove(device.offer ?? "", { keyIn: "payload", quoted: true });
    const made = await device.post("/a/b/register", { "Secure-Session-Response": proof });
    expect(made.headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
    expect(await made.json()).toEqual({
      session_identifier: expect.stringMatching(/^[\w-]{22}\.[\w-]{16}$/),
      refresh_url: "/a/b/refresh",
      scope: { include_site: false, scope_specification: [] },
      credentials: [
        {
          type: "cookie",
          name: "__Host-bound",
          attributes: "Path=/; Secure; HttpOnly; SameSite=Lax",
        },
      ],
    });
  });

  test("takes bound cookies of all keys, and signs with the first", async () => {
    const store = memoryStore();
    const [old, young] = ["o".repeat(32), "y".repeat(32)] as const;
    await using before = await startSite({ store, keys: [old] });
    await using during = await startSite({ store, keys: [young, old] });
    await using after = await startSite({ store, keys: [young] });
    const device = await (await Device.at(before)).bind();
    expect(await device.moveTo(during).status("/strict")).toBe(200);
    expect(await device.moveTo(after).status("/strict")).toBe(401);
    const moved = device.moveTo(during);
    expect((await moved.refresh()).status).toBe(200);
    expect(await moved.moveTo(after).status("/strict")).toBe(200);
  });

  test("gives a cookie that the browser forgets before the server does", async () => {
    for (const [lifetime, seconds] of [
      [2_000, 1],
      [60_000, 55],
      [600_000, 595],
    ]) {
      await using site = await startSite({ ...(lifetime && { lifetime }) });
      const device = await Device.at(site);
      await device.fetch("/sign-in");
      const [line] = (await device.register()).headers.getSetCookie();
      expect(line).toMatch(
        new RegExp(
          `^__Host-bound=[\\w.-]+; Max-Age=${seconds}; Path=/; Secure; HttpOnly; SameSite=Lax$`,
        ),
      );
    }
  });
});

describe("mounted", () => {
  test("at several levels, it does its work once", async () => {
    await using site = await startSite({
      route: async (ctx, { bound }) => {
        await bound(ctx, async () => {
          ctx.session.login("ada");
          ctx.body = "";
        });
      },
    });
    const device = await Device.at(site);
    const { headers } = await device.fetch("/inner");
    expect(headers.get("Secure-Session-Registration")).not.toBeNull();
    expect(headers.getSetCookie().filter((it) => it.startsWith("__Host-bound"))).toHaveLength(1);
  });

  test("below a path that koa-mount has cut off, it serves its own", async () => {
    await using site = await startSite({
      before: async (ctx, next) => {
        if (ctx.path.startsWith("/device-bound")) ctx.path = "/register";
        await next();
      },
    });
    const device = await (await Device.at(site)).bind();
    expect(await device.status("/strict")).toBe(200);
  });

  test("with require by-route, only the routes with a guard are guarded", async () => {
    await using site = await startSite({ require: "by-route" });
    const device = await (await Device.at(site)).bind();
    device.cookies.delete("__Host-bound");
    expect(await device.status("/me")).toBe(200);
    expect(await device.status("/strict")).toBe(401);
  });

  test("with require always, anonymous visitors pass", async () => {
    await using site = await startSite({ require: "always" });
    const device = await Device.at(site);
    expect(await device.status("/me")).toBe(200);
    await device.fetch("/sign-in");
    device.cookies.delete("__Host-bound");
    expect(await device.status("/me")).toBe(401);
  });

  test("a visitor without a session costs nothing and gets no cookie", async () => {
    const store = memoryStore();
    await using site = await startSite({ store });
    const { headers } = await (await Device.at(site)).fetch("/me", { headers: { cookie: "" } });
    expect(headers.getSetCookie().filter((it) => !it.startsWith("cid="))).toEqual([]);
    expect(store.size).toBe(0);
  });

  test("an offer that goes with an error of the handler arrives with it", async () => {
    await using site = await startSite({
      route: (ctx) => {
        ctx.session.login("ada");
        ctx.throw(403, "not yet");
      },
    });
    const device = await Device.at(site);
    const response = await device.fetch("/fails");
    expect(response.status).toBe(403);
    expect((await device.register()).status).toBe(200);
    expect(await device.status("/strict")).toBe(200);
  });

  test("an offer whose sign-in could not be stored is not made", async () => {
    const store = memoryStore();
    await using site = await startSite({ store });
    store.create = () => {
      throw new Error("down");
    };
    const response = await (await Device.at(site)).fetch("/sign-in");
    expect(response.status).toBe(503);
    expect(response.headers.get("Secure-Session-Registration")).toBeNull();
    expect(response.headers.getSetCookie().filter((it) => it.includes("bound"))).toEqual([]);
  });
});

describe("requireBound", () => {
  test("refuses options that are not there", () => {
    expect(() => requireBound({ unbound: "redirect" } as never)).toThrow(
      'requireBound: unbound must be "refuse" or "allow", got "redirect"',
    );
  });

  test("says that boundSessions() is missing", async () => {
    const app = new Koa();
    const ctx = app.createContext({ headers: {} } as never, {} as never);
    await expect(requireBound()(ctx, async () => {})).rejects.toMatchObject({
      code: "ERR_BOUND_NO_MIDDLEWARE",
      status: 500,
    });
  });

  test("lets a session pass that is not bound, if that is allowed", async () => {
    const lenient = requireBound({ unbound: "allow" });
    await using site = await startSite({
      require: "by-route",
      route: (ctx) =>
        lenient(ctx, async () => {
          ctx.body = "in";
        }),
    });
    const device = await Device.at(site);
    await device.fetch("/sign-in");
    expect(await device.status("/lenient")).toBe(200);
    await device.register();
    device.cookies.delete("__Host-bound");
    expect(await device.status("/lenient")).toBe(401);
  });
});

test("the entry of a record says whether a session is bound, and of which device", async () => {
  await using site = await startSite();
  const device = await (await Device.at(site)).bind();
  const { device: shown } = (await (await device.fetch("/me")).json()) as { device: object };
  expect(shown).toEqual({
    algorithm: "ES256",
    since: expect.any(String),
    thumbprint: expect.any(String),
  });
  for (const entry of [undefined, null, "", 1, {}, [], { key: {} }, { device: {} }]) {
    expect(boundDevice(entry)).toBeUndefined();
  }
});
