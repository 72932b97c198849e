import {
  createSessions,
  type IndexedStore,
  memoryStore,
  requireSession,
  sealedStore,
} from "@lanai/session";
import { describe, expect, test } from "vitest";
import type { Browser } from "./http.ts";
import { listen, type Routes, type Site, type SiteOptions, site } from "./site.ts";
import { hold } from "./steered-store.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const guard = requireSession({ user: true, impersonated: false });

const routes: Routes = {
  "/login": (ctx) => {
    ctx.session.login(String(ctx.query.user), { methods: ["pwd"] });
    if (ctx.query.stay) ctx.session.persist(30 * 24 * HOUR);
  },
  "/set": (ctx) => void ctx.session.set("note", String(ctx.query.note)),
  "/act": async (ctx) => {
    ctx.session.impersonate(String(ctx.query.user));
    if (ctx.query.commit) await ctx.session.commit();
  },
  "/act-short": (ctx) => ctx.session.impersonate("ada", { absoluteTimeout: 5 * MINUTE }),
  "/stop": async (ctx) => ({ stopped: await ctx.session.stopImpersonating() }),
  "/logout": (ctx) => ctx.session.destroy(),
  "/renew": (ctx) => ctx.session.renewId(),
  "/persist": (ctx) => ctx.session.persist(HOUR),
  "/again": (ctx) => ctx.session.reauthenticate({ methods: ["otp"] }),
  "/guarded": async (ctx) => {
    await guard(ctx, async () => {
      ctx.body = { inside: true };
    });
  },
  "/who": (ctx) => ({
    user: ctx.session.userId ?? null,
    by: ctx.session.impersonator?.userId ?? null,
    methods: ctx.session.methods,
    at: ctx.session.authenticatedAt?.getTime() ?? null,
    publicId: ctx.session.publicId,
    note: ctx.session.get("note") ?? null,
  }),
};

interface Who {
  readonly user: string | null;
  readonly by: string | null;
  readonly methods: string[];
  readonly at: number;
  readonly publicId: string;
  readonly note: string | null;
}

const who = async (browser: Browser): Promise<Who> =>
  (await (await browser.get("/who")).json()) as Who;
const stopped = async (browser: Browser): Promise<unknown> =>
  ((await (await browser.get("/stop")).json()) as { stopped: unknown }).stopped;

async function acting(options: SiteOptions = {}): Promise<{ at: Site; root: Browser }> {
  const at = await site(routes, options);
  const root = at.browser();
  await root.get("/login?user=root");
  await root.get("/set?note=mine");
  const response = await root.get("/act?user=ada");
  expect(response.status).toBe(204);
  return { at, root };
}

describe("acting for a user", () => {
  test("begins a session of the user that says who is behind it, and ends with going back", async () => {
    const { at, root } = await acting();
    await using _ = at;
    expect(await who(root)).toMatchObject({ user: "ada", by: "root", note: null });
    await root.get("/set?note=hers");
    expect(await stopped(root)).toBe(true);
    expect(await who(root)).toMatchObject({ user: "root", by: null, note: "mine" });
    expect(await at.sessions.list({ user: "ada" })).toEqual([]);
    expect(at.errors).toEqual([]);
  });

  test("U5: lists say who is behind a session, and the impersonator's own is a session like any other", async () => {
    const { at, root } = await acting();
    await using _ = at;
    const [hers] = await at.sessions.list({ user: "ada" });
    const [mine] = await at.sessions.list({ user: "root" });
    expect(hers?.impersonator).toEqual({ userId: "root", publicId: mine?.publicId });
    expect(mine?.impersonator).toBeUndefined();
    expect(JSON.stringify(hers)).not.toContain(root.cookie.slice(-20));
  });

  test("U5: the sign-in is that of the person at the browser, never the user's", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const own = await who(root);
    at.advance(10 * MINUTE);
    await root.get("/act?user=ada");
    expect(await who(root)).toMatchObject({ user: "ada", methods: ["pwd"], at: own.at });
  });

  test("U5: can't be nested, persisted or re-authenticated", async () => {
    const { at, root } = await acting();
    await using _ = at;
    for (const path of ["/act?user=bob", "/persist", "/again"]) {
      expect((await root.get(path)).status, path).toBe(403);
    }
    expect(await who(root)).toMatchObject({ user: "ada", by: "root" });
    expect(await at.sessions.list({ user: "bob" })).toEqual([]);
  });

  test("U5: requireSession({ impersonated: false }) is a 403, and lets the user in", async () => {
    const { at, root } = await acting();
    await using _ = at;
    const refused = await root.get("/guarded");
    expect(refused.status).toBe(403);
    const ada = at.browser();
    await ada.get("/login?user=ada");
    expect((await ada.get("/guarded")).status).toBe(200);
  });

  test("U5: events of the session name the impersonator's: its beginning, renewal and end", async () => {
    for (const end of ["/logout", "/stop", "own"]) {
      using heard = listen();
      const at = await site(routes);
      await using _ = at;
      const root = at.browser();
      await root.get("/login?user=root");
      const own = root.clone();
      await root.get("/act?user=ada");
      const { publicId } = await who(root);
      const [mine] = await at.sessions.list({ user: "root" });
      await root.get("/renew");
      await (end === "own" ? own.get("/logout") : root.get(end));
      const of = heard.events.filter(({ event }) => event.publicId === publicId);
      expect(
        of.map(({ name, event }) => [name, event.impersonator]),
        end,
      ).toEqual([
        ["created", mine?.publicId],
        ["renewed", mine?.publicId],
        ["destroyed", mine?.publicId],
      ]);
    }
  });

  test.each<[how: string, end: (at: Site, publicId: string) => unknown]>([
    ["its public id", ({ sessions }, id) => sessions.destroyByPublicId({ user: "ada" }, id)],
    ["its user", ({ sessions }) => sessions.destroyAll({ user: "ada" })],
    ["an operator", ({ sessions }) => sessions.destroyAll({ everyone: true })],
  ])("U5: its end by %s names the impersonator's session in the event", async (_how, end) => {
    using heard = listen();
    const { at, root } = await acting();
    await using _ = at;
    const { publicId } = await who(root);
    const [mine] = await at.sessions.list({ user: "root" });
    await end(at, String(publicId));
    const ends = heard.events.filter(({ name }) => name === "destroyed");
    expect(
      ends
        .filter(({ event }) => event.publicId === publicId)
        .map(({ event }) => event.impersonator),
    ).toEqual([mine?.publicId]);
  });

  test("nobody who isn't signed in acts for anybody", async () => {
    await using at = await site(routes);
    const stranger = at.browser();
    expect((await stranger.get("/act?user=ada")).status).toBe(401);
    await stranger.get("/set?note=1");
    expect((await stranger.get("/act?user=ada")).status).toBe(401);
    expect(await at.sessions.list({ user: "ada" })).toEqual([]);
  });

  test("a store that can't find sessions by owner refuses", async () => {
    const store = sealedStore({ keys: ["a key of thirty-two bytes or more!"], context: "test" });
    const sessions = createSessions({ store });
    const { session } = await sessions.create({ userId: "root" });
    expect(() => session.impersonate("ada")).toThrow(
      expect.objectContaining({ code: "ERR_SESSION_NOT_INDEXED" }),
    );
  });

  test("ends none of the user's own sessions, whatever maxSessionsPerUser says", async () => {
    const at = await site(routes, { maxSessionsPerUser: { limit: 1, overflow: "end-oldest" } });
    await using _ = at;
    const [ada, root] = [at.browser(), at.browser()];
    await ada.get("/login?user=ada");
    await root.get("/login?user=root");
    await root.get("/act?user=ada");
    expect(await who(ada)).toMatchObject({ user: "ada", by: null });
    expect(await who(root)).toMatchObject({ user: "ada", by: "root" });
  });

  test.each([
    [{ absoluteTimeout: 999 }],
    [{ absoluteTimeout: 25 * HOUR }],
    [{ absoluteTimeout: "1h" as never }],
    [{ for: 1 } as never],
  ])("%j is refused", async (options) => {
    const { session } = await createSessions().create({ userId: "root" });
    expect(() => session.impersonate("ada", options)).toThrow(/impersonate\(userId, options\)/);
    expect(session.userId).toBe("root");
  });

  test("is one more load a request, and nothing for anybody else", async () => {
    const { at, root } = await acting();
    await using _ = at;
    at.store.calls.length = 0;
    await who(root);
    expect(at.store.calls).toEqual(["load", "load"]);
    const ada = at.browser();
    await ada.get("/login?user=ada");
    at.store.calls.length = 0;
    await who(ada);
    expect(at.store.calls).toEqual(["load"]);
  });

  test("use keeps the impersonator's session alive, and a poll doesn't", async () => {
    const { at, root } = await acting({ touch: (ctx) => ctx.query.poll === undefined });
    await using _ = at;
    for (let n = 0; n < 2; n++) {
      at.advance(14 * MINUTE);
      expect(await who(root)).toMatchObject({ user: "ada" });
    }
    expect(await stopped(root)).toBe(true);
    await root.get("/act?user=ada");
    for (let n = 0; n < 2; n++) {
      at.advance(14 * MINUTE);
      expect((await root.get("/who?poll=1")).status).toBe(200);
    }
    at.advance(3 * MINUTE);
    expect(await who(root)).toMatchObject({ user: null });
  });

  test("another sign-in ends the impersonated session and the impersonator's", async () => {
    const { at, root } = await acting();
    await using _ = at;
    await root.get("/login?user=ada");
    expect(await who(root)).toMatchObject({ user: "ada", by: null });
    expect(await at.sessions.list({ user: "root" })).toEqual([]);
    expect(await at.sessions.list({ user: "ada" })).toHaveLength(1);
  });
});

describe("an impersonated session ends", () => {
  const ends: Record<string, (at: Site, root: Browser, own: Browser) => unknown> = {
    "the impersonator signs out elsewhere": async (_at, _root, own) => own.get("/logout"),
    "the impersonator's sessions all end": (at) => at.sessions.destroyAll({ user: "root" }),
    "the impersonator's session is ended by its public id": async (at) => {
      const [mine] = await at.sessions.list({ user: "root" });
      return at.sessions.destroyByPublicId({ user: "root" }, mine?.publicId ?? "");
    },
    "the user's sessions all end": (at) => at.sessions.destroyAll({ user: "ada" }),
    "the impersonator signs in as somebody else by an id of before": async (_at, _root, own) =>
      own.get("/login?user=eve"),
    "whoever acts signs out": async (_at, root) => root.clone().get("/logout"),
  };

  test.each(Object.entries(ends))("U3: when %s, and its end is reported", async (_when, end) => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const own = root.clone();
    await root.get("/act?user=ada");
    const { publicId } = await who(root);
    const reported: string[] = [];
    at.sessions.onEnd((it) => void reported.push(`${it.reason} ${it.publicId}`));
    await end(at, root, own);
    expect(reported).toContain(`destroyed ${publicId}`);
    expect(await at.sessions.list({ user: "ada" })).toEqual([]);
    expect(await who(root)).toMatchObject({ user: null, by: null });
  });

  test("with the impersonator's, if its own request ends that: what it stores then is in a new, anonymous one", async () => {
    const at = await site({
      ...routes,
      "/end": async (ctx) => {
        await at.sessions.destroyAll({ user: "root" });
        ctx.session.set("note", "farewell");
      },
    });
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    await root.get("/act?user=ada");
    await root.get("/end");
    expect(await who(root)).toMatchObject({ user: null, by: null, note: "farewell" });
  });

  test("U3: when the impersonator's session has idled out or reached its end", async () => {
    for (const wait of [31 * MINUTE, 25 * HOUR]) {
      const { at, root } = await acting();
      await using _ = at;
      at.advance(wait);
      expect(await who(root)).toMatchObject({ user: null });
      expect(await at.sessions.list({ user: "ada" })).toEqual([]);
    }
  });

  test("U3: after its own time, which is 30 minutes or as asked for", async () => {
    for (const [path, minutes] of [
      ["/act?user=ada", 30],
      ["/act-short", 5],
    ] as const) {
      const at = await site(routes);
      await using _ = at;
      const root = at.browser();
      await root.get("/login?user=root");
      await root.get(path);
      for (let n = 0; n < minutes - 1; n++) {
        at.advance(MINUTE);
        expect((await who(root)).user).toBe("ada");
      }
      at.advance(MINUTE);
      expect((await who(root)).user).toBe(null);
    }
  });

  test("U3: whichever comes first, its beginning or the end of the impersonator's", async () => {
    for (const method of ["create", "commit"] as const) {
      for (const when of ["before", "after"] as const) {
        const at = await site(routes);
        await using _ = at;
        const root = at.browser();
        await root.get("/login?user=root");
        const own = root.clone();
        const door = hold(at.store, method, when);
        const act = root.get("/act?user=ada");
        await door.reached;
        await own.get("/logout");
        door.open();
        expect((await act).headers.getSetCookie(), `${when} ${method}`).toEqual([]);
        expect(await at.sessions.list({ user: "ada" }), `${when} ${method}`).toEqual([]);
        expect((await who(root)).user).toBe(null);
      }
    }
  });

  test("U3: a request that had found it stores nothing after the impersonator has signed out", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const own = root.clone();
    await root.get("/act?user=ada");
    const door = hold(at.store, "commit");
    const slow = root.get("/set?note=late");
    await door.reached;
    await own.get("/logout");
    door.open();
    expect((await slow).headers.getSetCookie()).toEqual([]);
    expect(await at.sessions.list({ user: "ada" })).toEqual([]);
    expect((await who(root)).user).toBe(null);
  });

  test("U3: a session whose end could not be stored opens nothing all the same", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const own = root.clone();
    await root.get("/act?user=ada");
    const { around } = at.store;
    at.store.around = (method, call) => {
      if (method === "destroyByPublicId") throw new Error("unreachable");
      return around(method, call);
    };
    expect((await own.get("/logout")).status).toBe(204);
    expect((await who(root)).user).toBe(null);
  });

  test("U3: a session that was stopped opens nothing, though its end could not be stored", async () => {
    const { at, root } = await acting();
    await using _ = at;
    const impersonated = root.clone();
    const { around } = at.store;
    at.store.around = (method, call) => {
      if (method === "destroy") throw new Error("unreachable");
      return around(method, call);
    };
    expect(await stopped(root)).toBe(true);
    at.store.around = around;
    expect((await who(impersonated)).user).toBe(null);
  });

  test("U3: a renewal of the impersonator's id by others doesn't end it", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const own = root.clone();
    await root.get("/act?user=ada");
    await own.get("/renew");
    expect(await who(root)).toMatchObject({ user: "ada", by: "root" });
    at.advance(2 * MINUTE);
    expect(await who(root)).toMatchObject({ user: "ada", by: "root" });
    expect(await stopped(root)).toBe(true);
    expect(await who(root)).toMatchObject({ user: "root" });
    expect(await who(own)).toMatchObject({ user: null });
  });

  test("U3: an impersonator acts by one session at a time", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const other = root.clone();
    await root.get("/act?user=ada");
    await other.get("/act?user=bob");
    expect((await who(root)).user).toBe(null);
    expect(await who(other)).toMatchObject({ user: "bob", by: "root" });
    expect(await at.sessions.list({ user: "ada" })).toEqual([]);
    expect(await stopped(other)).toBe(true);
  });
});

describe("going back", () => {
  test("U4: gives the impersonator's session a new id; the impersonated and the former id open nothing", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root&stay=1");
    const former = root.clone();
    const before = await who(root);
    await root.get("/act?user=ada");
    const impersonated = root.clone();
    const response = await root.get("/stop");
    expect(response.headers.get("Set-Cookie")).toContain("Max-Age=");
    expect(await who(root)).toMatchObject({
      user: "root",
      publicId: before.publicId,
      at: before.at,
    });
    for (const it of [former, impersonated]) expect((await who(it)).user).toBe(null);
  });

  test("U4: of two at once exactly one has the session, and the other changes no cookie", async () => {
    for (const method of ["commitByPublicId", "destroy"] as const) {
      for (const when of ["before", "after"] as const) {
        const { at, root } = await acting();
        await using _ = at;
        const twin = root.clone();
        const door = hold(at.store, method, when);
        const first = root.get("/stop");
        await door.reached;
        const second = await twin.get("/stop");
        door.open();
        const both = [await first, second];
        const cookies = both.map((it) => it.headers.getSetCookie().length);
        expect(
          cookies.filter((it) => it > 0),
          `${when} ${method}`,
        ).toEqual([1]);
        const winner = cookies[0] ? root : twin;
        expect(await who(winner)).toMatchObject({ user: "root", by: null });
        expect(await at.sessions.list({ user: "root" })).toHaveLength(1);
        expect(await at.sessions.list({ user: "ada" })).toEqual([]);
      }
    }
  });

  test("U4: signs the browser out if the impersonator's session has ended meanwhile", async () => {
    const at = await site(routes);
    await using _ = at;
    const root = at.browser();
    await root.get("/login?user=root");
    const own = root.clone();
    await root.get("/act?user=ada");
    const door = hold(at.store, "commitByPublicId");
    const stop = root.get("/stop");
    await door.reached;
    await own.get("/logout");
    door.open();
    const response = await stop;
    expect(await response.json()).toEqual({ stopped: false });
    expect(response.headers.get("Set-Cookie")).toMatch(/^sid=;/);
    expect(root.cookies.size).toBe(0);
  });

  test("U4: beside a sign-out of the impersonator nothing lives, whichever comes first", async () => {
    for (const when of ["before", "after"] as const) {
      const at = await site(routes);
      await using _ = at;
      const root = at.browser();
      await root.get("/login?user=root");
      const own = root.clone();
      await root.get("/act?user=ada");
      const door = hold(at.store, "destroy", when);
      const out = own.get("/logout");
      await door.reached;
      const stop = await root.get("/stop");
      door.open();
      await out;
      expect(stop.status).toBe(200);
      for (const user of ["root", "ada"]) {
        expect(await at.sessions.list({ user }), `${when} ${user}`).toEqual([]);
      }
      for (const it of [root, own]) expect((await who(it)).user).toBe(null);
    }
  });

  test("U4: is false, and changes nothing, where nobody acts", async () => {
    await using at = await site(routes);
    const ada = at.browser();
    await ada.get("/login?user=ada");
    const { cookie } = ada;
    expect(await stopped(ada)).toBe(false);
    expect(ada.cookie).toBe(cookie);
    expect(await stopped(at.browser())).toBe(false);
  });

  test("U4: while the store is unreachable it is a 503 without a cookie", async () => {
    const { at, root } = await acting();
    await using _ = at;
    const { around } = at.store;
    at.store.around = (method, call) => {
      if (method === "commitByPublicId") throw new Error("unreachable");
      return around(method, call);
    };
    const response = await root.get("/stop");
    expect([response.status, response.headers.getSetCookie()]).toEqual([503, []]);
    at.store.around = around;
    expect(await stopped(root)).toBe(true);
  });
});

test("what was stored by another program as the impersonator opens nothing", async () => {
  const store: IndexedStore = memoryStore();
  const sessions = createSessions({ store });
  const { session } = await sessions.create({ userId: "root" });
  session.impersonate("ada");
  await session.commit();
  const [record] = await store.list("user:ada");
  const values = [...(record?.values ?? [])];
  expect(values.map(([name]) => name)).toContain("s:behind");
  expect((await sessions.open(session.id as string))?.impersonator?.userId).toBe("root");
});
