import { inspect } from "node:util";
import {
  cookieTracker,
  createSessions,
  type MemoryStore,
  memoryStore,
  randomIds,
  requireSession,
  type SessionEnd,
} from "@lanai/session";
import type { SessionError } from "@lanai/session/store";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { captureWarnings } from "../../../scripts/testing/warnings.ts";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { keyOf, listen, type Routes, siteOn } from "./site.ts";
import { gate, hold } from "./steered-store.ts";

const routes: Routes = {
  "/login": (ctx) => ctx.session.login(String(ctx.query.user ?? "ada")),
  "/set": (ctx) => void ctx.session.set("a", 1),
  "/renew": (ctx) => ctx.session.renewId(),
  "/out": (ctx) => ctx.session.destroy(),
  "/count": (ctx) => ctx.session.update("count", (count) => Number(count ?? 0) + 1),
  "/pop": async (ctx) => String(await ctx.session.pop("a")),
  "/": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
};

const read = async (browser: Browser): Promise<unknown> => (await browser.get("/")).json();

describe.each(koaVersions)("on %s", (_version, App) => {
  const site = siteOn(App);

  describe("lists and their ends", () => {
    test("S16: a list shows the living sessions of a user, by public ids only", async () => {
      await using it = await site(routes);
      const [one, two, expired, eve] = [it.browser(), it.browser(), it.browser(), it.browser()];
      await expired.get("/login");
      it.advance(30 * 60_000);
      await one.get("/login");
      await two.get("/login");
      await eve.get("/login?user=eve");
      await two.get("/renew");
      const list = await it.sessions.list({ user: "ada" });
      expect(list).toHaveLength(2);
      for (const summary of list) {
        expect(summary).toEqual({
          publicId: expect.stringMatching(/^[\w-]{22}$/),
          userId: "ada",
          owners: new Set(["user:ada"]),
          createdAt: expect.any(Date),
          seenAt: expect.any(Date),
          isBound: false,
          expiresAt: expect.any(Date),
        });
      }
      expect(await it.sessions.list({ owner: "user:eve" })).toHaveLength(1);
      expect(await it.sessions.list({ user: "nobody" })).toEqual([]);
    });

    test("a list can be sent as JSON, owners included", async () => {
      await using it = await site({ "/in": (ctx) => ctx.session.login("ada") });
      await it.browser().get("/in");
      const listed = JSON.parse(JSON.stringify(await it.sessions.list({ user: "ada" })));
      expect(listed).toMatchObject([{ userId: "ada", owners: ["user:ada"] }]);
    });

    test("S16: an owner may be made of the public id, which a new session has when it is stored", async () => {
      const named = (publicId: string) => `cart:${publicId}`;
      await using it = await site({
        "/owned": (ctx) => {
          ctx.session.addOwner(named);
          ctx.session.addOwner(named);
          ctx.session.login(String(ctx.query.user));
          return [...ctx.session.owners];
        },
        "/too-long": (ctx) => {
          ctx.session.addOwner((publicId) => publicId.repeat(20));
          ctx.session.set("a", 1);
        },
      });
      const browser = it.browser();
      expect(await (await browser.get("/owned?user=ada")).json()).toEqual(["user:ada"]);
      const [first] = await it.sessions.list({ user: "ada" });
      expect(await it.sessions.list({ owner: named(first?.publicId ?? "") })).toEqual([first]);
      expect(it.store.calls).not.toContain("commit");
      // Another user's session is another one, with an owner of its own.
      const owners = await (await browser.get("/owned?user=eve")).json();
      const [second] = await it.sessions.list({ user: "eve" });
      expect(owners).toEqual(["user:eve"]);
      expect(second?.publicId).not.toBe(first?.publicId);
      expect(second?.owners).toEqual(new Set(["user:eve", named(second?.publicId ?? "")]));
      // One that is stored already gets it with the next commit.
      await browser.get("/owned?user=eve");
      expect((await it.sessions.list({ user: "eve" }))[0]?.owners).toEqual(second?.owners);
      expect((await it.browser().get("/too-long")).status).toBe(500);
    });

    test("S16: destroyAll ends every session of a user, but the one that is excepted", async () => {
      await using it = await site(routes);
      const browsers = [it.browser(), it.browser(), it.browser()];
      for (const browser of browsers) await browser.get("/login");
      const eve = it.browser();
      await eve.get("/login?user=eve");
      const [first] = await it.sessions.list({ user: "ada" });
      if (!first) throw new Error("no session");
      expect(await it.sessions.destroyAll({ user: "ada" }, { except: first.publicId })).toBe(2);
      const users = await Promise.all(browsers.map(read));
      expect(users).toEqual(expect.arrayContaining([{ user: "ada" }, { user: null }]));
      expect(await it.sessions.destroyAll({ user: "ada" })).toBe(1);
      expect(await it.sessions.destroyAll({ user: "ada" })).toBe(0);
      for (const browser of browsers) expect(await read(browser)).toEqual({ user: null });
      expect(await read(eve)).toEqual({ user: "eve" });
    });

    test("S16: destroyByPublicId ends one session of a user, and nobody else's", async () => {
      await using it = await site(routes);
      const [ada, eve] = [it.browser(), it.browser()];
      await ada.get("/login");
      await eve.get("/login?user=eve");
      const [{ publicId } = { publicId: "" }] = await it.sessions.list({ user: "ada" });
      expect(await it.sessions.destroyByPublicId({ user: "eve" }, publicId)).toBe(false);
      expect(await it.sessions.destroyByPublicId({ user: "ada" }, "unknown")).toBe(false);
      expect(await read(ada)).toEqual({ user: "ada" });
      expect(await it.sessions.destroyByPublicId({ user: "ada" }, publicId)).toBe(true);
      expect(await it.sessions.destroyByPublicId({ user: "ada" }, publicId)).toBe(false);
      expect(await read(ada)).toEqual({ user: null });
    });

    test.each(["before", "after"] as const)(
      "S16: a login whose store call comes %s destroyAll ends, or lives",
      async (when) => {
        await using it = await site(routes);
        const [old, fresh] = [it.browser(), it.browser()];
        await old.get("/login");
        await fresh.get("/set");
        const door = hold(it.store, "commit", when === "before" ? "after" : "before");
        const login = fresh.get("/login");
        await door.reached;
        const ended = await it.sessions.destroyAll({ user: "ada" });
        door.open();
        await login;
        expect(ended).toBe(when === "before" ? 2 : 1);
        expect(await read(old)).toEqual({ user: null });
        expect(await read(fresh)).toMatchObject({ user: when === "before" ? null : "ada" });
      },
    );

    test("S16: a slow writer doesn't bring back what destroyAll ended", async () => {
      await using it = await site(routes);
      const browser = it.browser();
      await browser.get("/login");
      const door = hold(it.store, "commit");
      const writing = browser.get("/set");
      await door.reached;
      await it.sessions.destroyAll({ user: "ada" });
      door.open();
      expect((await writing).headers.getSetCookie()).toEqual([]);
      expect(await read(browser)).toEqual({ user: null });
      expect(await it.sessions.list({ user: "ada" })).toEqual([]);
    });

    test("a user that nobody of ours wrote is ERR_SESSION_DECODE, without the text", async () => {
      await using it = await site(routes);
      const browser = it.browser();
      await browser.get("/login");
      const [key] = it.store.asked[0] as [string];
      it.memory.commit(key, { operation: "foreign", set: new Map([["s:user", "s3cr3t"]]) });
      expect(await it.sessions.list({ user: "ada" })).toEqual([]);
      const [id = ""] = browser.cookies.values();
      const opened = it.sessions.open(id);
      const error: unknown = await opened.then((one) => one?.userId).catch((error) => error);
      expect(error).toMatchObject({ code: "ERR_SESSION_DECODE" });
      expect(inspect(error)).not.toContain("s3cr3t");
    });

    test.each(['""', "7", "null", '{"id":"ada"}', '["ada"]', JSON.stringify("a".repeat(257))])(
      "a stored user that login would refuse is nobody: %s",
      async (stored) => {
        const refusals: unknown[] = [];
        const tryEach = (ctx: Context) => {
          const { session } = ctx;
          for (const act of [
            () => session.reauthenticate(),
            () => session.impersonate("bob"),
            () => session.labelDevice("phone"),
          ]) {
            try {
              act();
              refusals.push("none");
            } catch (error) {
              refusals.push((error as SessionError).code);
            }
          }
          return { user: session.userId ?? null, methods: session.methods };
        };
        const inside = requireSession({ user: true });
        await using it = await site({
          ...routes,
          "/try": tryEach,
          "/inside": (ctx) => inside(ctx, async () => {}),
        });
        const browser = it.browser();
        await browser.get("/login");
        const [id = ""] = browser.cookies.values();
        it.memory.commit(keyOf(id), { operation: "foreign", set: new Map([["s:user", stored]]) });
        expect(await read(browser)).toMatchObject({ user: null });
        expect((await browser.get("/inside")).status).toBe(401);
        expect(await (await browser.get("/try")).json()).toEqual({ user: null, methods: [] });
        expect(refusals).toEqual(Array(3).fill("ERR_SESSION_REQUIRED"));
        expect((await it.sessions.open(id))?.userId).toBeUndefined();
        const [listed] = await it.sessions.list({ user: "ada" });
        expect(listed).toMatchObject({ userId: undefined });
        await browser.get("/login");
        expect(await read(browser)).toMatchObject({ user: "ada" });
      },
    );

    test("a store without an index answers list and destroyAll with an error that says so", async () => {
      const { load, create, commit, destroy } = memoryStore();
      const sessions = createSessions({ store: { load, create, commit, destroy } });
      const error = { code: "ERR_SESSION_NOT_INDEXED" };
      await expect(sessions.list({ user: "ada" })).rejects.toMatchObject(error);
      await expect(sessions.destroyAll({ user: "ada" })).rejects.toMatchObject(error);
      await expect(sessions.destroyByPublicId({ user: "ada" }, "x")).rejects.toMatchObject(error);
    });
  });

  describe("a connection that sends twice", () => {
    test("S17: what is sent twice is applied once", async () => {
      await using it = await site(routes);
      // As a client does that reconnects before the answer has come.
      it.store.around = async (_method, call) => {
        await call();
        return call();
      };
      const browser = it.browser();
      await browser.get("/set");
      await browser.get("/count");
      await browser.get("/count");
      expect(await browser.text("/pop")).toBe("1");
      await browser.get("/login");
      await browser.get("/renew");
      expect(await read(browser)).toEqual({ user: "ada", count: 2 });
      expect(it.errors).toEqual([]);
      expect(it.memory.size).toBe(1);
    });

    test("S17: every call has a name of its own, also between two managers", async () => {
      await using it = await site(routes);
      const other = createSessions({ store: it.store });
      const browser = it.browser();
      for (const path of ["/set", "/count", "/count", "/login", "/renew", "/pop"]) {
        await browser.get(path);
      }
      await other.create({ userId: "ada" });
      await other.create({ userId: "ada" });
      const names = it.store.asked.flatMap(([, change]) =>
        typeof change === "object" ? [(change as { operation: string }).operation] : [],
      );
      expect(names).toHaveLength(8);
      expect(new Set(names).size).toBe(8);
    });

    test.each([
      ["a copy of a memory store", (memory: MemoryStore) => ({ ...memory })],
      ["a memory store whose commit was replaced", (memory: MemoryStore) => memory],
    ])("S17: %s that commits twice applies once", async (_name, storeOf) => {
      const memory = memoryStore();
      const { commit } = memory;
      const twice: MemoryStore["commit"] = (key, change) => {
        commit(key, change);
        return commit(key, change);
      };
      const sessions = createSessions({ store: Object.assign(storeOf(memory), { commit: twice }) });
      const { session } = await sessions.create({ userId: "ada", values: { count: 0 } });
      await session.update("count", (count) => Number(count) + 1);
      const stored = await sessions.open(session.id ?? "");
      expect(stored?.get("count")).toBe(1);
      memory.close();
    });
  });

  describe("onEnd", () => {
    test("tells of every end and every renewal, with the public id, and is awaited", async () => {
      await using it = await site(routes);
      const ends: SessionEnd[] = [];
      let settled = 0;
      const stop = it.sessions.onEnd(async (end) => {
        ends.push(end);
        await Promise.resolve();
        settled++;
      });
      const browser = it.browser();
      await browser.get("/login");
      const [{ publicId } = { publicId: "" }] = await it.sessions.list({ user: "ada" });
      const owners = new Set(["user:ada"]);

      await browser.get("/renew");
      expect(ends.splice(0)).toEqual([{ publicId, owners, reason: "renewed" }]);
      await browser.get("/login");
      expect(ends.splice(0)).toEqual([{ publicId, owners, reason: "renewed" }]);
      await browser.get("/out");
      expect(ends.splice(0)).toEqual([{ publicId, owners, reason: "destroyed" }]);
      expect(settled).toBe(3);

      await browser.get("/login");
      const [second] = await it.sessions.list({ user: "ada" });
      await it.sessions.destroyAll({ user: "ada" });
      expect(ends.splice(0)).toEqual([{ publicId: second?.publicId, owners, reason: "destroyed" }]);
      await browser.get("/login");
      const [third] = await it.sessions.list({ user: "ada" });
      await it.sessions.destroyByPublicId({ user: "ada" }, third?.publicId ?? "");
      expect(ends.splice(0)).toMatchObject([{ publicId: third?.publicId }]);

      stop();
      await browser.get("/login");
      await it.sessions.destroyAll({ user: "ada" });
      expect(ends).toEqual([]);
    });

    test("tells of the session that another user's login ends", async () => {
      await using it = await site(routes);
      const ends: SessionEnd[] = [];
      it.sessions.onEnd((end) => void ends.push(end));
      const browser = it.browser();
      await browser.get("/login");
      const [ada] = await it.sessions.list({ user: "ada" });
      await browser.get("/login?user=eve");
      expect(ends).toEqual([
        { publicId: ada?.publicId, owners: new Set(["user:ada"]), reason: "destroyed" },
      ]);
    });

    test("says nothing of sessions that weren't there, nor twice of one that two requests end", async () => {
      await using it = await site(routes);
      const ends: SessionEnd[] = [];
      it.sessions.onEnd((end) => void ends.push(end));
      await it.browser().get("/out");
      const browser = it.browser();
      await browser.get("/login");
      const twin = browser.clone();
      const door = hold(it.store, "destroy");
      const first = browser.get("/out");
      await door.reached;
      await twin.get("/out");
      door.open();
      await first;
      expect(ends).toHaveLength(1);
    });

    test("a listener that fails is told by a warning, and stops neither the end nor the others", async () => {
      const warnings = captureWarnings();
      await using it = await site(routes);
      const heard: string[] = [];
      it.sessions.onEnd(() => Promise.reject(new Error("deaf")));
      it.sessions.onEnd(({ reason }) => void heard.push(reason));
      const browser = it.browser();
      await browser.get("/login");
      expect((await browser.get("/out")).status).toBe(204);
      expect(heard).toEqual(["destroyed"]);
      expect(it.memory.size).toBe(0);
      await expect.poll(() => warnings).toEqual([expect.stringContaining("deaf")]);
    });
  });

  describe("onSessionNew", () => {
    test("is called once per new session, with its id, before it is stored, and may set values", async () => {
      const news: unknown[] = [];
      await using it = await site(routes, {
        onSessionNew: async (session, ctx) => {
          await Promise.resolve();
          news.push([session.id, session.isNew, ctx?.path, [...it.store.calls]]);
          session.set("since", "now");
        },
      });
      const browser = it.browser();
      await browser.get("/");
      expect(news).toEqual([]);
      await browser.get("/set");
      expect(news).toEqual([[browser.cookies.get("sid"), true, "/set", []]]);
      expect(await read(browser)).toEqual({ user: null, a: 1, since: "now" });
      await browser.get("/renew");
      expect(news).toHaveLength(1);
      const { session } = await it.sessions.create({ userId: "ada" });
      expect(session.get("since")).toBe("now");
      expect(news).toHaveLength(2);
    });

    test("a hook that fails fails the request, and nothing is stored", async () => {
      await using it = await site(routes, {
        onSessionNew: () => {
          throw new Error("not today");
        },
      });
      const response = await it.browser().get("/set");
      expect(response.status).toBe(500);
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(it.store.calls).toEqual([]);
      expect(it.errors).toMatchObject([{ message: "not today" }]);
    });

    test("an id that is taken is made anew, and the hook is not called again", async () => {
      const taken = "A".repeat(43);
      const ids = [taken, taken, `B${"A".repeat(42)}`];
      const news: unknown[] = [];
      await using it = await site(routes, {
        generator: { generate: () => ids.shift() ?? "", isValid: (id) => id.length === 43 },
        onSessionNew: (session) => void news.push(session.id),
      });
      const [one, two] = [it.browser(), it.browser()];
      await one.get("/login");
      await two.get("/set");
      expect(news).toHaveLength(2);
      expect(await read(one)).toEqual({ user: "ada" });
      expect(await read(two)).toEqual({ user: null, a: 1 });
    });
  });

  describe("a generator", () => {
    test("is given the request, and may take its time, for a new id and for a renewed one", async () => {
      const random = randomIds();
      const asked: unknown[] = [];
      await using it = await site(routes, {
        generator: {
          generate: async (ctx) => {
            await Promise.resolve();
            asked.push(ctx?.path);
            return random.generate(ctx);
          },
          isValid: random.isValid,
        },
      });
      const browser = it.browser();
      await browser.get("/set");
      const { cookie } = browser;
      expect(cookie).toMatch(/^sid=[\w-]{43}$/);
      await browser.get("/renew");
      expect(browser.cookie).toMatch(/^sid=[\w-]{43}$/);
      expect(browser.cookie).not.toBe(cookie);
      expect(await read(browser)).toEqual({ user: null, a: 1 });
      expect(asked).toEqual(["/set", "/renew"]);
      await it.sessions.create({ userId: "ada" });
      expect(asked).toEqual(["/set", "/renew", undefined]);
    });
  });

  describe("onSessionRelease", () => {
    test("is called before the record is destroyed, with its data, and before onEnd", async () => {
      const order: unknown[] = [];
      await using it = await site(routes, {
        onSessionRelease: async ({ publicId, owners, session }) => {
          await Promise.resolve();
          order.push(["release", publicId, owners, session?.toJSON(), it.memory.size]);
        },
      });
      it.sessions.onEnd(({ publicId }) => void order.push(["end", publicId, it.memory.size]));
      const browser = it.browser();
      await browser.get("/set");
      await browser.get("/login");
      const [{ publicId } = { publicId: "" }] = await it.sessions.list({ user: "ada" });
      order.length = 0;
      await browser.get("/out");
      expect(order).toEqual([
        ["release", publicId, new Set(["user:ada"]), { a: 1 }, 1],
        ["end", publicId, 0],
      ]);
    });

    test("is called for every session that destroyAll ends, and not for the excepted", async () => {
      const released: string[] = [];
      await using it = await site(routes, {
        onSessionRelease: ({ publicId }) => void released.push(publicId),
      });
      for (let n = 0; n < 3; n++) await it.browser().get("/login");
      const [kept, ...others] = await it.sessions.list({ user: "ada" });
      await it.sessions.destroyAll({ user: "ada" }, { except: kept?.publicId ?? "" });
      expect(released.sort()).toEqual(others.map(({ publicId }) => publicId).sort());
      released.length = 0;
      await it.sessions.destroyByPublicId({ user: "ada" }, kept?.publicId ?? "");
      expect(released).toEqual([kept?.publicId]);
    });

    test("is called for a session that outlived a timeout that was lowered since", async () => {
      const released: unknown[] = [];
      await using it = await site(routes, {
        absoluteTimeout: 10_000,
        onSessionRelease: ({ publicId, owners, session }) =>
          void released.push([publicId, owners, session?.userId, it.memory.size]),
      });
      const generous = createSessions({ store: it.store });
      const { session, headers } = await generous.create({ userId: "ada" });
      const { publicId } = session;
      it.advance(10_000);
      const response = await it.browser().request("/", { headers });
      expect(await response.json()).toEqual({ user: null });
      expect(released).toEqual([[publicId, new Set(["user:ada"]), "ada", 1]]);
      expect(it.memory.size).toBe(0);
    });

    test("is called for a session that its tracker has destroyed", async () => {
      const released: unknown[] = [];
      await using it = await site(routes, {
        tracker: {
          ...cookieTracker(),
          admit: () => ({ status: "refuse", reason: "stolen", destroy: true }),
        },
        onSessionRelease: ({ publicId, owners, session }) =>
          void released.push([publicId, owners, session?.userId, it.memory.size]),
      });
      const { session, headers } = await it.sessions.create({ userId: "ada" });
      const { publicId } = session;
      const response = await it.browser().request("/", { headers });
      expect(await response.json()).toEqual({ user: null });
      expect(released).toEqual([[publicId, new Set(["user:ada"]), "ada", 1]]);
      expect(it.memory.size).toBe(0);
    });

    test("if it fails the session stays, the request fails, and the cookie is kept", async () => {
      await using it = await site(routes, {
        onSessionRelease: () => Promise.reject(new Error("not yet")),
      });
      const browser = it.browser();
      await browser.get("/login");
      const response = await browser.get("/out");
      expect(response.status).toBe(500);
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(await read(browser)).toEqual({ user: "ada" });
      await expect(it.sessions.destroyAll({ user: "ada" })).rejects.toThrow("not yet");
      expect(await read(browser)).toEqual({ user: "ada" });
      expect(it.store.calls).not.toContain("destroy");
    });

    test("is not called for a renewal, nor where there was no session", async () => {
      const released: unknown[] = [];
      await using it = await site(routes, { onSessionRelease: (it) => void released.push(it) });
      await it.browser().get("/out");
      const browser = it.browser();
      await browser.get("/login");
      await browser.get("/renew");
      expect(released).toEqual([]);
    });
  });

  describe("sessions.create", () => {
    test("gives headers by which a client is signed in", async () => {
      await using it = await site(routes);
      const { session, headers } = await it.sessions.create({ userId: "ada", values: { a: 1 } });
      expect(Object.keys(headers)).toEqual(["cookie"]);
      const response = await it.browser().request("/", { headers });
      expect(await response.json()).toEqual({ user: "ada", a: 1 });
      expect(session.userId).toBe("ada");
      expect(session.isNew).toBe(false);
      await session.destroy();
      const after = await it.browser().request("/", { headers });
      expect(await after.json()).toEqual({ user: null });
    });

    test("gives the prefixed cookie for HTTPS", async () => {
      const { headers } = await createSessions().create({ userId: "ada", secure: true });
      expect(headers.cookie).toMatch(/^__Host-Http-sid=[\w-]{43}$/);
    });

    test("of nothing is a TypeError: an empty session is never stored", async () => {
      await using it = await site(routes);
      await expect(it.sessions.create()).rejects.toThrow(TypeError);
      expect(it.store.calls).toEqual([]);
    });
  });

  test("events tell what became of sessions, by their public ids", async () => {
    using heard = listen();
    await using it = await site(routes);
    const browser = it.browser();
    await browser.get("/login");
    const [{ publicId } = { publicId: "" }] = await it.sessions.list({ user: "ada" });
    await browser.get("/renew");
    await browser.get("/out");
    const told = { level: "info", property: "session", publicId };
    expect(heard.events).toEqual([
      { name: "created", event: told },
      { name: "renewed", event: told },
      { name: "destroyed", event: told },
    ]);
  });

  test("two managers of one property in one request are an error that names it", async () => {
    const app = new App();
    const errors: unknown[] = [];
    app.on("error", (error) => errors.push(error));
    app.use(createSessions().middleware());
    app.use(createSessions().middleware());
    await using served = await serve(app);
    expect((await new Browser(served).get("/")).status).toBe(500);
    expect(errors).toMatchObject([
      { code: "ERR_SESSION_PROPERTY_TAKEN", message: expect.stringContaining("ctx.session") },
    ]);
  });

  test("two managers of two properties live beside each other", async () => {
    const [visits, staff] = [
      createSessions({ name: "visit", property: "visit" }),
      createSessions({ name: "staff", property: "staff" }),
    ];
    const app = new App();
    app.use(visits.middleware());
    app.use(staff.middleware());
    app.use(async (ctx) => {
      if (ctx.path === "/start") {
        visits.from(ctx).set("n", 1);
        staff.from(ctx).login("ada");
      }
      if (ctx.path === "/out") await staff.from(ctx).destroy();
      ctx.body = { n: visits.from(ctx).get("n") ?? null, user: staff.from(ctx).userId ?? null };
    });
    await using served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/start");
    expect([...browser.cookies.keys()].sort()).toEqual(["staff", "visit"]);
    expect(await (await browser.get("/")).json()).toEqual({ n: 1, user: "ada" });
    await browser.get("/out");
    expect(await (await browser.get("/")).json()).toEqual({ n: 1, user: null });
  });

  describe("requireSession", () => {
    const guarded = async (options: Parameters<typeof requireSession>[0]) => {
      const guard = requireSession(options);
      return site(routes, {
        below: (ctx, next) =>
          ctx.path === "/"
            ? (guard as (it: typeof ctx, go: typeof next) => Promise<void>)(ctx, next)
            : next(),
      });
    };

    test("S6: answers a session that was destroyed with 401 and a challenge", async () => {
      await using it = await guarded({ user: true });
      const browser = it.browser();
      await browser.get("/login");
      expect((await browser.get("/")).status).toBe(200);
      const { cookie } = browser;
      await browser.get("/out");
      const response = await it.browser().request("/", { headers: { cookie } });
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toBe(
        'Session realm="session", code="ERR_SESSION_REQUIRED", reason="unknown"',
      );
      expect(response.headers.getSetCookie()).toEqual([]);
    });

    test("lets an anonymous session pass only where no user is asked for", async () => {
      await using any = await guarded({});
      await using users = await guarded({ user: true });
      for (const [it, status] of [
        [any, 200],
        [users, 401],
      ] as const) {
        const browser = it.browser();
        expect((await browser.get("/")).status).toBe(401);
        await browser.get("/set");
        expect((await browser.get("/")).status).toBe(status);
      }
    });

    test("redirects where it is told to", async () => {
      await using it = await guarded({ user: true, redirect: (ctx) => `/sign-in?to=${ctx.path}` });
      const response = await it.browser().get("/");
      expect(response.status).toBe(302);
      expect(response.headers.get("location")).toBe("/sign-in?to=/");
    });
  });

  test("a request that is gone before its answer still saves", async () => {
    const door = gate();
    await using it = await site({
      ...routes,
      "/slow": async (ctx) => {
        ctx.session.set("late", 1);
        await door.pass();
      },
    });
    const browser = it.browser();
    await browser.get("/login");
    const leaving = new AbortController();
    const slow = browser.request("/slow", { signal: leaving.signal });
    await door.reached;
    leaving.abort();
    await expect(slow).rejects.toThrow();
    door.open();
    await expect.poll(() => read(browser)).toEqual({ user: "ada", late: 1 });
  });
});
