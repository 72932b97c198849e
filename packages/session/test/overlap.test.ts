import { memoryStore, sealedStore } from "@lanai/session";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { type Routes, siteOn } from "./site.ts";
import { hold } from "./steered-store.ts";

describe.each(koaVersions)("on %s", (_version, App) => {
  const site = siteOn(App);

  const known = async (routes: Routes) => {
    const it = await site({
      "/begin": (ctx) => {
        ctx.session.set("a", 1);
      },
      "/read": (ctx) => ctx.session.toJSON(),
      ...routes,
    });
    const browser = it.browser();
    await browser.get("/begin");
    return { it, browser };
  };

  test("what is set while a commit of the same request is under way is stored too", async () => {
    const { it, browser } = await known({
      "/late": async (ctx) => {
        const door = hold(it.store, "commit");
        ctx.session.set("b", 2).set("c", "early");
        const committing = ctx.session.commit();
        await door.reached;
        ctx.session.set("c", "late").set("d", 4);
        door.open();
        await committing;
      },
    });
    await using _ = it;
    await browser.get("/late");
    expect(await (await browser.get("/read")).json()).toEqual({ a: 1, b: 2, c: "late", d: 4 });
  });

  test("what is set while a new session is being stored is stored too", async () => {
    const { it } = await known({
      "/late": async (ctx) => {
        const door = hold(it.store, "create");
        ctx.session.set("b", 2);
        const committing = ctx.session.commit();
        await door.reached;
        ctx.session.set("d", 4);
        door.open();
        await committing;
      },
    });
    await using _ = it;
    const stranger = it.browser();
    await stranger.get("/late");
    expect(await (await stranger.get("/read")).json()).toEqual({ b: 2, d: 4 });
  });

  test("commits that nobody awaited are over before the head leaves, and create one session", async () => {
    const { it } = await known({
      "/twice": (ctx) => {
        ctx.session.set("b", 2);
        void ctx.session.commit();
        ctx.session.set("c", 3);
        void ctx.session.commit();
      },
    });
    await using _ = it;
    const stranger = it.browser();
    const before = it.memory.size;
    const response = await stranger.get("/twice");
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(it.memory.size).toBe(before + 1);
    expect(await (await stranger.get("/read")).json()).toEqual({ b: 2, c: 3 });
  });

  test("a renewal waits for a pop of the same request that is under way, and its id stays", async () => {
    let id: string | undefined;
    const { it, browser } = await known({
      "/both": async (ctx) => {
        const door = hold(it.store, "commit", "after");
        const popping = ctx.session.pop("a");
        await door.reached;
        ctx.session.renewId();
        const committing = ctx.session.commit();
        door.open();
        await committing;
        expect(await popping).toBe(1);
        ctx.session.set("b", 2);
        id = ctx.session.id;
      },
    });
    await using _ = it;
    const before = browser.cookie;
    await browser.get("/both");
    expect(browser.cookie).not.toBe(before);
    expect(browser.cookie).toBe(`sid=${id}`);
    expect(await (await browser.get("/read")).json()).toEqual({ b: 2 });
    expect(it.memory.size).toBe(1);
  });

  test("of two pops of one request one gets what is set and not stored yet", async () => {
    let popped: unknown;
    const { it, browser } = await known({
      "/twice": async (ctx) => {
        ctx.session.set("a", 2).set("b", 3);
        const both = [ctx.session.popMany(["a", "b"]), ctx.session.popMany(["b", "a"])];
        popped = await Promise.all(both);
      },
    });
    await using _ = it;
    await browser.get("/twice");
    expect(popped).toEqual([
      new Map([
        ["a", 2],
        ["b", 3],
      ]),
      new Map(),
    ]);
    expect(await (await browser.get("/read")).json()).toEqual({});
  });

  test("what is read while the session is loaded again doesn't hide its new value", async () => {
    await using it = await site({
      "/start": (ctx) => void ctx.session.set("list", ["old"]),
      "/replace": (ctx) => void ctx.session.set("list", ["new"]),
      "/reload": async (ctx) => {
        await browser.get("/replace");
        const door = hold(it.store, "load");
        const reloading = ctx.session.reload();
        await door.reached;
        ctx.session.get("list");
        door.open();
        await reloading;
        return ctx.session.get("list");
      },
    });
    const browser = it.browser();
    await browser.get("/start");
    expect(await (await browser.get("/reload")).json()).toEqual(["new"]);
  });

  test("a pop that fails leaves what is set and not stored yet", async () => {
    let code: unknown;
    const { it, browser } = await known({
      "/fail": async (ctx) => {
        ctx.session.set("a", 2);
        const { around } = it.store;
        it.store.around = () => Promise.reject(new Error("away"));
        await ctx.session.pop("a").catch((error) => {
          code = error.code;
        });
        it.store.around = around;
      },
    });
    await using _ = it;
    await browser.get("/fail");
    expect(code).toBe("ERR_SESSION_STORE_UNAVAILABLE");
    expect(await (await browser.get("/read")).json()).toEqual({ a: 2 });
  });

  test("updates and pops of one request at once all count, also where the session is its id", async () => {
    const sealed = sealedStore({ context: "app", keys: ["a secret of at least thirty-two bytes"] });
    const count = (n: unknown) => Number(n ?? 0) + 1;
    const both = async (ctx: Context) => {
      const popping = [ctx.session.pop("a"), ctx.session.pop("b")];
      const counting = [ctx.session.update("n", count), ctx.session.update("n", count)];
      return Promise.all([...popping, ...counting]);
    };
    for (const store of [memoryStore(), sealed]) {
      const it = await site(
        {
          "/begin": (ctx) => {
            ctx.session.set("a", 1).set("b", 2);
          },
          "/both": both,
          "/read": (ctx) => ctx.session.toJSON(),
        },
        { store },
      );
      await using _ = it;
      const browser = it.browser();
      await browser.get("/begin");
      expect(await (await browser.get("/both")).json()).toEqual([1, 2, 1, 2]);
      expect(await (await browser.get("/read")).json()).toEqual({ n: 2 });
      // Not stored yet: a new session.
      expect(await (await it.browser().get("/both")).json()).toEqual([null, null, 1, 2]);
    }
  });

  test("what is set while an update is under way stays set", async () => {
    const { it, browser } = await known({
      "/late": async (ctx) => {
        const door = hold(it.store, "commit");
        const updating = ctx.session.update("a", () => 2);
        await door.reached;
        ctx.session.set("a", 3);
        door.open();
        await updating;
      },
    });
    await using _ = it;
    await browser.get("/late");
    expect(await (await browser.get("/read")).json()).toEqual({ a: 3 });
  });

  test("a pop of what can't be decoded takes nothing out", async () => {
    const { it, browser } = await known({
      "/pop": (ctx) => ctx.session.pop("a"),
      "/has": (ctx) => String(ctx.session.has("a")),
    });
    await using _ = it;
    const [key] = it.store.asked[0] as [string];
    it.memory.commit(key, { operation: "foreign", set: new Map([["d:a", "{not ours"]]) });
    expect((await browser.get("/pop")).status).toBe(500);
    expect(await browser.text("/has")).toBe("true");
  });

  test("a destroy after the head has left is a rejection, not an exception", async () => {
    const rejected: unknown[] = [];
    const { it, browser } = await known({
      "/late": async (ctx) => {
        ctx.respond = false;
        ctx.res.end("sent");
        const destroying = ctx.session.destroy();
        await destroying.catch((error: unknown) => rejected.push(error));
      },
    });
    await using _ = it;
    expect(await browser.text("/late")).toBe("sent");
    expect(rejected).toMatchObject([{ code: "ERR_SESSION_SENT" }]);
  });

  test("a session that onSessionNew refused has no id", async () => {
    const ids: unknown[] = [];
    await using it = await site(
      {
        "/begin": async (ctx) => {
          ctx.session.set("a", 1);
          await ctx.session.commit().catch(() => ids.push(ctx.session.id));
          await ctx.session.destroy();
        },
      },
      {
        onSessionNew: () => {
          throw new Error("no");
        },
      },
    );
    await it.browser().get("/begin");
    expect(ids).toEqual([undefined]);
  });
});
