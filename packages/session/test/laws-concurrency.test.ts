import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { listen, type Routes, type Site, type SiteOptions, site } from "./site.ts";
import { gate, hold } from "./steered-store.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Handlers for what two requests may do to one session; `/slow` does it when it is let. */
function works(): { routes: Routes; door: ReturnType<typeof gate> } {
  const door = gate();
  const work = async (ctx: Context): Promise<unknown> => {
    const { session } = ctx;
    switch (ctx.query.do) {
      case "set":
        return session.set(String(ctx.query.key ?? "late"), String(ctx.query.value ?? "1"));
      case "count":
        return session.update("count", (count) => Number(count ?? 0) + 1);
      case "pop":
        return session.set("popped", (await session.pop("once")) ?? "nothing");
      case "login":
        return session.login(String(ctx.query.user ?? "ada"));
      case "destroy and login":
        await session.destroy();
        return session.login(String(ctx.query.user));
      case "renew":
        return session.renewId();
      case "set and renew":
        return session.set("late", "1").renewId();
      case "destroy":
        return session.destroy();
      case "destroy and set":
        await session.destroy();
        return session.set("farewell", "bye");
      case "persist":
        return session.persist(30 * 24 * HOUR);
      case "commit":
        return session.set("late", 1).commit();
      case "change in place":
        return (session.get("list") as number[]).push(1);
      default:
        return session.keys();
    }
  };
  const answer = (ctx: Context) => {
    ctx.body = { user: ctx.session.userId ?? null, ...ctx.session.toJSON() };
  };
  return {
    door,
    routes: {
      "/": async (ctx) => {
        await work(ctx);
        answer(ctx);
      },
      "/slow": async (ctx) => {
        await door.pass();
        await work(ctx);
        answer(ctx);
      },
      "/start": (ctx) => {
        ctx.session.set("list", []).set("once", "it").set("secret", "hers");
        if (ctx.query.user) ctx.session.login(String(ctx.query.user));
      },
      "/read": answer,
    },
  };
}

/** A slow request that had loaded the session before `meanwhile` happened, and works after it. */
async function slowBeside(
  it: Site,
  door: ReturnType<typeof gate>,
  cookie: string,
  slow: string,
  meanwhile: () => Promise<unknown>,
): Promise<Response> {
  const running = it.browser().request(`/slow?do=${slow}`, { headers: { cookie } });
  await door.reached;
  await meanwhile();
  door.open();
  return running;
}

const read = async (it: Site, cookie: string): Promise<unknown> =>
  (await it.browser().request("/read", { headers: { cookie } })).json();

describe.each(koaVersions)("on %s, two requests at once", (_version, App) => {
  const open = async (
    options: SiteOptions = {},
    user = "ada",
  ): Promise<{
    it: Site;
    door: ReturnType<typeof gate>;
    browser: ReturnType<Site["browser"]>;
    [Symbol.asyncDispose](): PromiseLike<void>;
  }> => {
    const { routes, door } = works();
    const it = await site(routes, { App, ...options });
    const browser = it.browser();
    await browser.get(user ? `/start?user=${user}` : "/start");
    return { it, door, browser, [Symbol.asyncDispose]: () => it[Symbol.asyncDispose]() };
  };

  test("S5: writers of different keys both win", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    await slowBeside(it, door, browser.cookie, "set&key=a", () => browser.get("/?do=set&key=b"));
    expect(await read(it, browser.cookie)).toMatchObject({ a: "1", b: "1" });
  });

  test("S5: a value changed in place and another key both win", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    await slowBeside(it, door, browser.cookie, "change in place", () => browser.get("/?do=set"));
    expect(await read(it, browser.cookie)).toMatchObject({ list: [1], late: "1" });
  });

  test("S5: of two who set one key the later commit wins", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    await slowBeside(it, door, browser.cookie, "set&value=later", () =>
      browser.get("/?do=set&value=sooner"),
    );
    expect(await read(it, browser.cookie)).toMatchObject({ late: "later" });
  });

  test("S5: two updates of one key both count", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    await slowBeside(it, door, browser.cookie, "count", () => browser.get("/?do=count"));
    expect(await read(it, browser.cookie)).toMatchObject({ count: 2 });
  });

  test("S5: of two who pop one key one gets it", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    const slow = await slowBeside(it, door, browser.cookie, "pop", async () => {
      const quick = await browser.get("/?do=pop");
      expect(await quick.json()).toMatchObject({ popped: "it" });
    });
    expect(await slow.json()).toMatchObject({ popped: "nothing" });
  });

  // A value that is decoded for the app is kept as the same object: a pop must not return that one.
  test.each<[string, unknown, unknown]>([
    ["a text", "old", "new"],
    ["an array", ["old"], ["old", "new"]],
    ["an object", { old: 1 }, { old: 1, new: 1 }],
    ["an object instead of an array", ["old"], { new: 1 }],
    ["a text instead of an array", ["old"], "new"],
  ])("S5: a pop returns %s that another request stored meanwhile", async (_kind, old, now) => {
    for (const isReadFirst of [false, true]) {
      const door = gate();
      await using it = await site(
        {
          "/start": (ctx) => void ctx.session.set("queue", old),
          "/replace": (ctx) => void ctx.session.set("queue", now),
          "/pop": async (ctx) => {
            if (isReadFirst) ctx.session.get("queue");
            await door.pass();
            return { popped: await ctx.session.pop("queue"), left: ctx.session.get("queue") };
          },
          "/read": (ctx) => ({ left: ctx.session.get("queue") }),
        },
        { App },
      );
      const browser = it.browser();
      await browser.get("/start");
      const popping = browser.get("/pop");
      await door.reached;
      await browser.get("/replace");
      door.open();
      expect(await (await popping).json()).toEqual({ popped: now });
      expect(await (await browser.get("/read")).json()).toEqual({});
    }
  });

  test("S5: a pop returns what this request changed in place, though another replaced it", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => void ctx.session.set("queue", ["old"]),
        "/replace": (ctx) => void ctx.session.set("queue", ["other"]),
        "/pop": async (ctx) => {
          (ctx.session.get("queue") as string[]).push("mine");
          await door.pass();
          return { popped: await ctx.session.pop("queue") };
        },
        "/read": (ctx) => ({ left: ctx.session.get("queue") }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const popping = browser.get("/pop");
    await door.reached;
    await browser.get("/replace");
    door.open();
    expect(await (await popping).json()).toEqual({ popped: ["old", "mine"] });
    expect(await (await browser.get("/read")).json()).toEqual({});
  });

  test("S5: a popped value doesn't come back from a request that had loaded it", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    const slow = await slowBeside(it, door, browser.cookie, "set", () => browser.get("/?do=pop"));
    expect(await slow.json()).toMatchObject({ late: "1" });
    expect(await read(it, browser.cookie)).not.toHaveProperty("once");
  });

  test("S5: an update that meets sixteen conflicts in a row is told so with a 503", async () => {
    await using at = await open();
    const { it, browser } = at;
    it.store.around = async (method, call) => {
      if (method !== "commit") return call();
      const loaded = it.memory.load((it.store.asked.at(-1) as [string])[0]);
      if (loaded.status !== "live") throw new Error("not there");
      return { status: "conflict", record: loaded.record } as Awaited<ReturnType<typeof call>>;
    };
    it.store.calls.length = 0;
    const response = await browser.get("/?do=count");
    expect(response.status).toBe(503);
    expect(it.store.calls.filter((name) => name === "commit")).toHaveLength(16);
    expect(it.errors).toMatchObject([{ code: "ERR_SESSION_CONFLICT" }]);
  });

  test.each(["set", "count", "pop", "persist", "renew", "change in place", "read"])(
    "S6: a slow request that does %s doesn't bring a destroyed session back",
    async (what) => {
      using heard = listen();
      await using at = await open();
      const { it, door, browser } = at;
      const { cookie } = browser;
      const slow = await slowBeside(it, door, cookie, what, () => browser.get("/?do=destroy"));
      expect(slow.headers.getSetCookie()).toEqual([]);
      expect(browser.cookies.size).toBe(0);
      expect(await read(it, cookie)).toEqual({ user: null });
      expect(it.memory.size).toBe(0);
      if (what !== "read") expect(heard.names()).toContain("gone");
      else expect(heard.names()).not.toContain("gone");
    },
  );

  test("S6: nothing revives a session that expired while the request ran", async () => {
    using heard = listen();
    await using at = await open();
    const { it, door, browser } = at;
    const slow = await slowBeside(it, door, browser.cookie, "set", async () => it.advance(HOUR));
    expect(slow.status).toBe(200);
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(await read(it, browser.cookie)).toEqual({ user: null });
    expect(heard.names()).toContain("gone");
  });

  test("S6: an event says once which session was gone", async () => {
    using heard = listen();
    await using at = await open();
    const { it, door, browser } = at;
    const [record] = await it.sessions.list({ user: "ada" });
    await slowBeside(it, door, browser.cookie, "set", () => browser.get("/?do=destroy"));
    expect(heard.events.filter(({ name }) => name === "gone")).toEqual([
      {
        name: "gone",
        event: { level: "info", property: "session", publicId: record?.publicId },
      },
    ]);
  });

  test.each(["commit", "count"])(
    "S6: an explicit %s on a destroyed session is ERR_SESSION_GONE, a 401",
    async (what) => {
      const caught: unknown[] = [];
      await using at = await open({
        above: (_ctx, next) =>
          next().catch((error: unknown) => {
            caught.push(error);
            throw error;
          }),
      });
      const { it, door, browser } = at;
      const { cookie } = browser;
      const slow = await slowBeside(it, door, cookie, what, () => browser.get("/?do=destroy"));
      expect(slow.status).toBe(401);
      expect(slow.headers.getSetCookie()).toEqual([]);
      expect(caught).toMatchObject([{ code: "ERR_SESSION_GONE", status: 401 }]);
      expect(it.memory.size).toBe(0);
    },
  );

  test("S6: what is set after an ERR_SESSION_GONE that was caught is not stored either", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => ctx.session.login("ada"),
        "/slow": async (ctx) => {
          await door.pass();
          await ctx.session
            .set("a", 1)
            .commit()
            .catch(() => {});
          ctx.session.set("b", 2);
          ctx.body = { isNew: ctx.session.isNew, user: ctx.session.userId ?? null };
        },
        "/out": (ctx) => ctx.session.destroy(),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const slow = await slowBeside(it, door, browser.cookie, "", () => browser.get("/out"));
    expect(await slow.json()).toEqual({ isNew: true, user: null });
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(it.memory.size).toBe(0);
  });

  test("S6: who signs in after an ERR_SESSION_GONE that was caught begins a fresh session", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => void ctx.session.set("secret", "hers").login("ada"),
        "/slow": async (ctx) => {
          await door.pass();
          await ctx.session
            .set("a", 1)
            .commit()
            .catch(() => ctx.session.login("eve"));
        },
        "/out": (ctx) => ctx.session.destroy(),
        "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const slow = await slowBeside(it, door, browser.cookie, "", () => browser.get("/out"));
    browser.keep(slow.headers.getSetCookie()[0] ?? "");
    expect(await read(it, browser.cookie)).toEqual({ user: "eve" });
  });

  test("S6: who signs in while another request signs out begins a fresh session", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    const slow = await slowBeside(it, door, browser.cookie, "login&user=eve", () =>
      browser.get("/?do=destroy"),
    );
    browser.keep(slow.headers.getSetCookie()[0] ?? "");
    expect(await read(it, browser.cookie)).toEqual({ user: "eve" });
    expect(it.memory.size).toBe(1);
  });

  test("S7: after a renewal the old id opens nothing, the data is kept, and the browser gets the new id", async () => {
    using heard = listen();
    await using at = await open();
    const { it, browser } = at;
    const { cookie } = browser;
    const [before] = await it.sessions.list({ user: "ada" });
    const renewed = await browser.get("/?do=renew");
    expect(renewed.headers.getSetCookie()).toHaveLength(1);
    expect(renewed.headers.get("cache-control")).toBe("no-store");
    expect(browser.cookie).not.toBe(cookie);
    expect(await read(it, cookie)).toEqual({ user: null });
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", secret: "hers" });
    const [after] = await it.sessions.list({ user: "ada" });
    expect(after).toMatchObject({ publicId: before?.publicId, createdAt: before?.createdAt });
    expect(heard.events.find(({ name }) => name === "renewed")?.event.publicId).toBe(
      before?.publicId,
    );
  });

  test("S7: the absolute timeout runs on over a renewal, and starts anew at a login", async () => {
    await using at = await open({ idleTimeout: 10 * HOUR, absoluteTimeout: 10 * HOUR });
    const { it, browser } = at;
    it.advance(6 * HOUR);
    await browser.get("/?do=renew");
    it.advance(3 * HOUR);
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada" });
    await browser.get("/?do=login");
    it.advance(9 * HOUR);
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada" });
    await browser.get("/?do=renew");
    it.advance(HOUR);
    expect(await read(it, browser.cookie)).toEqual({ user: null });
  });

  test("S7: a request that bears a renewed id is anonymous, stores nothing and touches no cookie", async () => {
    using heard = listen();
    await using at = await open();
    const { it, browser } = at;
    const { cookie } = browser;
    await browser.get("/?do=renew");
    it.store.calls.length = 0;
    const all = ["read", "set", "renew", "persist", "pop"];
    for (const what of all) {
      const late = await it.browser().request(`/?do=${what}`, { headers: { cookie } });
      expect(late.status).toBe(200);
      expect(await late.json()).toMatchObject({ user: null });
      expect(late.headers.getSetCookie()).toEqual([]);
    }
    for (const what of ["destroy", "destroy and set", "destroy and login", "commit", "count"]) {
      const late = await it.browser().request(`/?do=${what}&user=eve`, { headers: { cookie } });
      expect([what, late.status]).toEqual([what, 409]);
      expect(late.headers.getSetCookie()).toEqual([]);
    }
    expect(new Set(it.store.calls)).toEqual(new Set(["load"]));
    expect(it.memory.size).toBe(1);
    expect(heard.names()).toContain("dropped");
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", secret: "hers" });
  });

  test("S7: who signs in with a renewed id begins a fresh session", async () => {
    await using at = await open();
    const { it, browser } = at;
    const late = browser.clone();
    await browser.get("/?do=renew");
    await late.get("/?do=login&user=eve");
    expect(await read(it, late.cookie)).toEqual({ user: "eve" });
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada" });
  });

  test("S7: after 60 s the old id is forgotten, and no more than unknown", async () => {
    await using at = await open();
    const { it, browser } = at;
    const { cookie } = browser;
    await browser.get("/?do=renew");
    it.advance(MINUTE);
    const late = await it.browser().request("/?do=set", { headers: { cookie } });
    expect(late.headers.getSetCookie()).toHaveLength(1);
    expect(await late.json()).toEqual({ user: null, late: "1" });
  });

  test("S7: a write beside a renewal is in the successor, and sends no cookie", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    const slow = await slowBeside(it, door, browser.cookie, "set", () => browser.get("/?do=renew"));
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", late: "1" });
  });

  test("S7: a request that goes on with a session that was renewed beside it sends no dead id", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => {
          ctx.session.login("ada");
          ctx.session.persist(24 * HOUR);
        },
        "/slow": async (ctx) => {
          await door.pass();
          await ctx.session.update("a", () => 1);
          ctx.session.set("b", 2);
          await ctx.session.commit();
          ctx.session.set("c", 3);
        },
        "/renew": (ctx) => ctx.session.renewId(),
        "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const slow = await slowBeside(it, door, browser.cookie, "", () => browser.get("/renew"));
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(await read(it, browser.cookie)).toEqual({ user: "ada", a: 1, b: 2, c: 3 });
  });

  test("S7: a request can't renew a session again that was renewed beside it, and keeps what it set", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => ctx.session.login("ada"),
        "/slow": async (ctx) => {
          await door.pass();
          await ctx.session.set("a", 1).commit();
          ctx.session.set("b", 2).renewId();
        },
        "/renew": (ctx) => ctx.session.renewId(),
        "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const slow = await slowBeside(it, door, browser.cookie, "", () => browser.get("/renew"));
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(await read(it, browser.cookie)).toEqual({ user: "ada", a: 1, b: 2 });
  });

  test("S7: of two renewals at once the second keeps what it set, and sends no cookie", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    const slow = await slowBeside(it, door, browser.cookie, "set and renew", () =>
      browser.get("/?do=renew"),
    );
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", late: "1" });
    expect(it.memory.size).toBe(1);
  });

  test("S7: a sign-out that had loaded the session ends the successor too", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    await slowBeside(it, door, browser.cookie, "destroy", () => browser.get("/?do=renew"));
    expect(await read(it, browser.cookie)).toEqual({ user: null });
    expect(it.memory.size).toBe(0);
  });

  test("S7: the second of two logins gets a fresh session with what it set", async () => {
    await using at = await open({}, "");
    const { it, door, browser } = at;
    const { cookie } = browser;
    const second = await slowBeside(it, door, cookie, "login", () => browser.get("/?do=login"));
    const other = it.browser();
    other.keep(second.headers.getSetCookie()[0] ?? "");
    expect(await read(it, cookie)).toEqual({ user: null });
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", secret: "hers" });
    expect(await read(it, other.cookie)).toEqual({ user: "ada" });
    expect(it.memory.list("user:ada")).toHaveLength(2);
  });

  test("S7: a login gives the session a new id and a user in one commit", async () => {
    await using at = await open({}, "");
    const { it, browser } = at;
    const { cookie } = browser;
    it.store.calls.length = 0;
    const login = await browser.get("/?do=login");
    expect(it.store.calls).toEqual(["load", "commit"]);
    expect(login.headers.getSetCookie()).toHaveLength(1);
    expect(await read(it, cookie)).toEqual({ user: null });
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", secret: "hers" });
  });

  test("a login as another user leaves nothing of the first", async () => {
    await using at = await open();
    const { it, browser } = at;
    const { cookie } = browser;
    await browser.get("/?do=login&user=eve");
    expect(await read(it, browser.cookie)).toEqual({ user: "eve" });
    expect(await read(it, cookie)).toEqual({ user: null });
    expect(it.memory.list("user:ada")).toEqual([]);
    expect(it.memory.list("user:eve")).toHaveLength(1);
  });

  test("a login as another user keeps what the same request has set for them", async () => {
    await using it = await site(
      {
        "/start": (ctx) => void ctx.session.set("secret", "hers").login("ada"),
        "/switch": (ctx) => {
          ctx.session.set("theme", "dark");
          ctx.session.persist(HOUR);
          ctx.session.login("eve");
        },
        "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const response = await browser.get("/switch");
    expect(response.headers.getSetCookie()).toEqual([expect.stringContaining("; Max-Age=")]);
    expect(await read(it, browser.cookie)).toEqual({ user: "eve", theme: "dark" });
    expect(it.memory.size).toBe(1);
  });

  test("of two logins in one request the last is the user", async () => {
    await using it = await site(
      {
        "/": (ctx) => {
          ctx.session.login("ada");
          ctx.session.login("eve");
        },
      },
      { App },
    );
    await it.browser().get("/");
    expect(it.memory.list("user:ada")).toEqual([]);
    expect(await it.sessions.list({ user: "eve" })).toMatchObject([{ userId: "eve" }]);
  });

  test("a login as the same user keeps what is theirs", async () => {
    await using at = await open();
    const { it, browser } = at;
    await browser.get("/?do=login&user=ada");
    expect(await read(it, browser.cookie)).toMatchObject({ user: "ada", secret: "hers" });
  });

  test("what a slow request of the first user writes is not seen by the next", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    await slowBeside(it, door, browser.cookie, "set", () => browser.get("/?do=login&user=eve"));
    expect(await read(it, browser.cookie)).toEqual({ user: "eve" });
  });

  test("what the first user writes while the next one signs in is not seen by the next", async () => {
    await using at = await open();
    const { it, door, browser } = at;
    const { cookie } = browser;
    const login = await slowBeside(it, door, cookie, "login&user=eve", () =>
      browser.get("/?do=set"),
    );
    browser.keep(login.headers.getSetCookie()[0] ?? "");
    expect(await read(it, browser.cookie)).toEqual({ user: "eve" });
  });

  test("a sign-out that nobody awaits is done before the answer leaves", async () => {
    await using it = await site(
      {
        "/start": (ctx) => ctx.session.login("ada"),
        "/out": (ctx) => {
          void ctx.session.destroy();
          ctx.redirect("/");
        },
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const door = hold(it.store, "destroy");
    const out = browser.get("/out");
    await door.reached;
    door.open();
    expect((await out).headers.getSetCookie()).toEqual([
      expect.stringMatching(/^sid=; Max-Age=0;/),
    ]);
    expect(it.memory.size).toBe(0);
    expect(browser.cookies.size).toBe(0);
  });

  test.each(["renewId", "persist", "addOwner", "commit"] as const)(
    "a sign-out and %s after it store nothing, though a touch was due",
    async (what) => {
      await using it = await site(
        {
          "/start": (ctx) => ctx.session.login("ada"),
          "/out": async (ctx) => {
            await ctx.session.destroy();
            if (what === "persist") ctx.session.persist(HOUR);
            else if (what === "addOwner") ctx.session.addOwner("team:a");
            else await ctx.session[what]();
          },
        },
        { App },
      );
      const browser = it.browser();
      await browser.get("/start");
      it.advance(15 * MINUTE);
      it.store.calls.length = 0;
      await browser.get("/out");
      expect(it.store.calls).toEqual(["load", "destroy"]);
      expect(browser.cookies.size).toBe(0);
      expect(it.memory.size).toBe(0);
    },
  );

  test("what is set after a sign-out begins a new, anonymous session", async () => {
    await using it = await site(
      {
        "/start": (ctx) => void ctx.session.set("secret", "hers").login("ada"),
        "/out": async (ctx) => {
          await ctx.session.destroy();
          ctx.session.set("farewell", "bye");
        },
        "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const { cookie } = browser;
    const out = await browser.get("/out");
    expect(out.headers.getSetCookie()).toHaveLength(1);
    expect(browser.cookie).not.toBe(cookie);
    expect(await read(it, cookie)).toEqual({ user: null });
    expect(await read(it, browser.cookie)).toEqual({ user: null, farewell: "bye" });
  });

  test("a login after a sign-out in one request is another session", async () => {
    await using it = await site(
      {
        "/start": (ctx) => void ctx.session.set("secret", "hers").login("ada"),
        "/switch": (ctx) => {
          void ctx.session.destroy();
          ctx.session.login("eve");
        },
        "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const { cookie } = browser;
    const response = await browser.get("/switch");
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(await read(it, cookie)).toEqual({ user: null });
    expect(await read(it, browser.cookie)).toEqual({ user: "eve" });
    expect(it.memory.list("user:ada")).toEqual([]);
    expect(it.memory.size).toBe(1);
  });

  test("reload drops what was set, and shows what others stored meanwhile", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => void ctx.session.set("a", 1),
        "/slow": async (ctx) => {
          ctx.session.set("mine", 1);
          await door.pass();
          await ctx.session.reload();
          ctx.body = ctx.session.toJSON();
        },
        "/set": (ctx) => void ctx.session.set("a", 2),
        "/read": (ctx) => ctx.session.toJSON(),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const slow = await slowBeside(it, door, browser.cookie, "", () => browser.get("/set"));
    expect(await slow.json()).toEqual({ a: 2 });
    expect(await read(it, browser.cookie)).toEqual({ a: 2 });
  });

  test("reload of a session that has ended shows nothing, and stores nothing", async () => {
    const door = gate();
    await using it = await site(
      {
        "/start": (ctx) => ctx.session.login("ada"),
        "/slow": async (ctx) => {
          await door.pass();
          await ctx.session.reload();
          ctx.session.set("late", 1);
          ctx.body = { user: ctx.session.userId ?? null };
        },
        "/out": (ctx) => ctx.session.destroy(),
      },
      { App },
    );
    const browser = it.browser();
    await browser.get("/start");
    const slow = await slowBeside(it, door, browser.cookie, "", () => browser.get("/out"));
    expect(await slow.json()).toEqual({ user: null });
    expect(slow.headers.getSetCookie()).toEqual([]);
    expect(it.memory.size).toBe(0);
  });
});
