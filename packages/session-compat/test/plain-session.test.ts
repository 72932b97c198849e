import { inspect } from "node:util";
import { createSessions, type SessionMiddleware } from "@lanai/session";
import { type PlainSession, plainSession } from "@lanai/session-compat";
import Koa, { type Context } from "koa";
import koa2 from "koa2";
import { describe, expect, test } from "vitest";
import { Browser, serve } from "../../session/test/http.ts";
import { type Routes, type Site, type SiteOptions, site } from "../../session/test/site.ts";
import { hold } from "../../session/test/steered-store.ts";

/** A site whose `ctx.session` is a plain session. */
const plainSite = async (routes: Routes, options: SiteOptions = {}): Promise<Site> => {
  let plain: SessionMiddleware = async () => {};
  const at = await site(routes, {
    property: "lanai",
    below: (ctx, next) => plain(ctx, next),
    ...options,
  });
  plain = plainSession(at.sessions);
  return at;
};

const sessionOf = (ctx: Context) => ctx.session as unknown as PlainSession;

const assign = (ctx: Context, value: unknown) => {
  (ctx as unknown as { session: unknown }).session = value;
};

const show = (ctx: Context) => JSON.stringify(ctx.session);

describe.each([
  ["Koa 3", Koa],
  ["Koa 2", koa2 as unknown as typeof Koa],
])("plainSession on %s", (_name, App) => {
  test("has the entries as properties", async () => {
    await using at = await plainSite(
      {
        "/set": (ctx) => {
          const session = sessionOf(ctx);
          session.user = "ada";
          Object.assign(session, { cart: { items: ["tea"] }, gone: 1, never: undefined });
        },
        "/change": (ctx) => {
          const session = sessionOf(ctx);
          (session.cart as { items: string[] }).items.push("milk");
          delete session.gone;
          session.absent = undefined;
        },
        "/show": show,
      },
      { App },
    );
    const browser = at.browser();
    expect((await browser.get("/set")).status).toBe(204);
    expect((await browser.get("/change")).status).toBe(204);
    expect(await browser.text("/show")).toBe('{"cart":{"items":["tea","milk"]},"user":"ada"}');
  });

  test("ends with null", async () => {
    await using at = await plainSite(
      {
        "/set": (ctx) => {
          sessionOf(ctx).user = "ada";
        },
        "/end": (ctx) => {
          assign(ctx, null);
          return String(ctx.session);
        },
        "/show": show,
      },
      { App },
    );
    const browser = at.browser();
    await browser.get("/set");
    const copy = browser.clone();
    expect(await browser.text("/end")).toBe("null");
    expect(browser.cookies.size).toBe(0);
    expect(await copy.text("/show")).toBe("{}");
    expect(at.memory.size).toBe(0);
  });
});

describe("the entries of a plain session", () => {
  test("are what it has of its own, to every way of asking", async () => {
    const names = ["__proto__", "constructor", "hasOwnProperty", "then", "_x", "0", "a b"];
    await using at = await plainSite({
      "/set": (ctx) => {
        for (const name of names) sessionOf(ctx)[name] = `${name}!`;
      },
      "/check": (ctx) => {
        const session = sessionOf(ctx);
        const sorted = [...names].sort();
        expect(Object.keys(session)).toEqual(sorted);
        const seen: string[] = [];
        for (const name in session) seen.push(name);
        expect(seen).toEqual(sorted);
        for (const name of names) {
          expect(session[name]).toBe(`${name}!`);
          expect(name in session).toBe(true);
        }
        const copy = { ...session };
        expect(Object.keys(copy)).toEqual(sorted);
        expect(inspect(session)).toBe(inspect(session.toJSON()));
        expect(session.length).toBe(names.length);
        expect(session.populated).toBe(true);
        return "checked";
      },
    });
    const browser = at.browser();
    await browser.get("/set");
    expect(await browser.text("/check")).toBe("checked");
  });

  test("are none of what is not stored", async () => {
    await using at = await plainSite({
      "/": (ctx) => {
        const session = sessionOf(ctx);
        expect(Object.keys(session)).toEqual([]);
        expect(session.user).toBeUndefined();
        expect("user" in session).toBe(false);
        expect("save" in session).toBe(true);
        expect(String(session)).toBe("[object Object]");
        expect(session.length).toBe(0);
        expect(session.populated).toBe(false);
        return "checked";
      },
    });
    expect(await at.browser().text("/")).toBe("checked");
  });

  test("can't have the name of a method", async () => {
    await using at = await plainSite({
      "/": (ctx) => {
        const session = sessionOf(ctx) as unknown as Record<string | symbol, unknown>;
        for (const name of ["save", "regenerate", "isNew", "length", "toJSON", Symbol("s")]) {
          expect(() => {
            session[name] = 1;
          }).toThrow(`ctx.session.${String(name)} can't be set`);
        }
        expect(() => Object.defineProperty(session, "a", { value: 1 })).toThrow(TypeError);
        expect(() => Object.preventExtensions(session)).toThrow(TypeError);
        return "checked";
      },
    });
    expect(await at.browser().text("/")).toBe("checked");
  });

  test("that have the name of a method, set by the session itself, hide no method", async () => {
    await using at = await plainSite({
      "/": (ctx) => {
        at.sessions.from(ctx).set("save", 1).set("length", 5).set("a", 1);
        const session = sessionOf(ctx);
        expect(session.save).toBeTypeOf("function");
        expect(Object.keys(session)).toEqual(["a"]);
        Reflect.deleteProperty(session, "length");
        return JSON.stringify(at.sessions.from(ctx));
      },
    });
    expect(await at.browser().text("/")).toBe('{"a":1,"length":5,"save":1}');
  });

  test("of two requests at once are both kept", async () => {
    await using at = await plainSite({
      "/set": (ctx) => {
        sessionOf(ctx)[String(ctx.query.name)] = 1;
      },
      "/show": show,
    });
    const browser = at.browser();
    await browser.get("/set?name=first");
    const door = hold(at.store, "commit");
    const slow = browser.get("/set?name=slow");
    await door.reached;
    await browser.get("/set?name=fast");
    door.open();
    await slow;
    expect(await browser.text("/show")).toBe('{"fast":1,"first":1,"slow":1}');
  });

  test("survive an error that the handler throws", async () => {
    await using at = await plainSite({
      "/": (ctx) => {
        sessionOf(ctx).seen = true;
        ctx.throw(403);
      },
      "/show": show,
    });
    const browser = at.browser();
    expect((await browser.get("/")).status).toBe(403);
    expect(await browser.text("/show")).toBe('{"seen":true}');
  });
});

describe("ctx.session =", () => {
  test("an object replaces all entries and keeps the session", async () => {
    await using at = await plainSite({
      "/set": (ctx) => assign(ctx, { a: 1, b: 2 }),
      "/replace": (ctx) => assign(ctx, { b: 3, c: 4, never: undefined }),
      "/same": (ctx) => assign(ctx, ctx.session),
      "/show": show,
    });
    const browser = at.browser();
    await browser.get("/set");
    const { cookie } = browser;
    expect((await browser.get("/replace")).status).toBe(204);
    expect((await browser.get("/same")).status).toBe(204);
    expect(await browser.text("/show")).toBe('{"b":3,"c":4}');
    expect(browser.cookie).toBe(cookie);
  });

  test("an object after null begins a new session", async () => {
    await using at = await plainSite({
      "/set": (ctx) => assign(ctx, { a: 1 }),
      "/anew": (ctx) => {
        assign(ctx, null);
        assign(ctx, { b: 1 });
        sessionOf(ctx).c = 1;
      },
      "/show": show,
    });
    const browser = at.browser();
    await browser.get("/set");
    const before = browser.clone();
    await browser.get("/anew");
    expect(await browser.text("/show")).toBe('{"b":1,"c":1}');
    expect(await before.text("/show")).toBe("{}");
  });

  test("null that the store can't do is a 503", async () => {
    await using at = await plainSite({
      "/set": (ctx) => assign(ctx, { a: 1 }),
      "/end": (ctx) => assign(ctx, null),
      "/show": show,
    });
    const browser = at.browser();
    await browser.get("/set");
    const { around } = at.store;
    at.store.around = (method, call) => {
      if (method === "destroy") throw new Error("away");
      return call();
    };
    expect((await browser.get("/end")).status).toBe(503);
    at.store.around = around;
    expect(await browser.text("/show")).toBe('{"a":1}');
  });

  test.each([5, "ada", undefined])("%o is an error", async (value) => {
    await using at = await plainSite({ "/": (ctx) => assign(ctx, value) });
    expect((await at.browser().get("/")).status).toBe(500);
    const message = `ctx.session can be set to null or an object, got ${typeof value}`;
    expect(at.errors).toMatchObject([{ name: "TypeError", message }]);
  });
});

describe("save", () => {
  test("stores at once, by promise and by callback", async () => {
    await using at = await plainSite({
      "/promise": async (ctx) => {
        sessionOf(ctx).a = 1;
        await sessionOf(ctx).save();
        return String(at.memory.size);
      },
      "/callback": async (ctx) => {
        sessionOf(ctx).a = 1;
        const given = await new Promise((resolve) => {
          expect(sessionOf(ctx).save(resolve)).toBeUndefined();
        });
        return `${given} ${at.memory.size}`;
      },
      "/manually": async (ctx) => {
        sessionOf(ctx).a = 1;
        await sessionOf(ctx).manuallyCommit();
        return String(at.memory.size);
      },
    });
    expect(await at.browser().text("/promise")).toBe("1");
    expect(await at.browser().text("/callback")).toBe("undefined 2");
    expect(await at.browser().text("/manually")).toBe("3");
  });

  test("gives a failure to its callback", async () => {
    await using at = await plainSite({
      "/": async (ctx) => {
        sessionOf(ctx).a = 1;
        at.store.around = () => {
          throw new Error("away");
        };
        const error = await new Promise((resolve) => sessionOf(ctx).save(resolve));
        return (error as { code: string }).code;
      },
    });
    const response = await at.browser().get("/");
    expect(response.status).toBe(503);
    expect(at.errors).toMatchObject([{ code: "ERR_SESSION_STORE_UNAVAILABLE" }]);
  });
});

describe("regenerate", () => {
  const routes: Routes = {
    "/set": (ctx) => {
      sessionOf(ctx).user = "ada";
    },
    "/promise": async (ctx) => {
      await sessionOf(ctx).regenerate();
      sessionOf(ctx).fresh = true;
    },
    "/callback": async (ctx) => {
      const before = sessionOf(ctx);
      await new Promise((resolve) => before.regenerate(resolve));
      expect(sessionOf(ctx)).not.toBe(before);
      expect({ ...sessionOf(ctx) }).toEqual({});
      Object.assign(sessionOf(ctx), before);
      before.late = "lost";
      expect(before.late).toBe("lost");
    },
    "/show": show,
  };

  test("begins a new, empty session, and the old id opens nothing", async () => {
    await using at = await plainSite(routes);
    const browser = at.browser();
    await browser.get("/set");
    const before = browser.clone();
    await browser.get("/promise");
    expect(browser.cookie).not.toBe(before.cookie);
    expect(await browser.text("/show")).toBe('{"fresh":true}');
    expect(await before.text("/show")).toBe("{}");
  });

  test("leaves what it had with the object it was called on", async () => {
    await using at = await plainSite(routes);
    const browser = at.browser();
    await browser.get("/set");
    await browser.get("/callback");
    expect(await browser.text("/show")).toBe('{"user":"ada"}');
  });
});

describe("isNew and maxAge", () => {
  test("are those of the session", async () => {
    await using at = await plainSite({
      "/": (ctx) => {
        const { isNew, maxAge } = sessionOf(ctx);
        sessionOf(ctx).a = 1;
        return JSON.stringify({ isNew, minutes: maxAge && Math.round(maxAge / 60_000) });
      },
      "/stay": (ctx) => {
        sessionOf(ctx).maxAge = 3_600_000;
      },
    });
    const browser = at.browser();
    expect(await browser.text("/")).toBe('{"isNew":true}');
    expect(await browser.text("/")).toBe('{"isNew":false,"minutes":30}');
    const [cookie] = (await browser.get("/stay")).headers.getSetCookie();
    expect(cookie).toMatch(/max-age=3600\b/i);
    expect(await browser.text("/")).toBe('{"isNew":false,"minutes":60}');
  });
});

describe("a request", () => {
  test("that doesn't use its plain session costs nothing and varies by nothing", async () => {
    await using at = await plainSite({ "/": () => "hello" });
    const response = await at.browser().get("/");
    expect(at.store.calls).toEqual([]);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(response.headers.has("vary")).toBe(false);
  });

  test("that only reads takes one call of the store", async () => {
    await using at = await plainSite({
      "/set": (ctx) => assign(ctx, { a: { b: 1 } }),
      "/show": show,
    });
    const browser = at.browser();
    await browser.get("/set");
    at.store.calls.length = 0;
    const response = await browser.get("/show");
    expect(at.store.calls).toEqual(["load"]);
    expect(response.headers.get("vary")).toBe("Cookie");
  });
});

describe("plainSession", () => {
  test("loads a lazy session", async () => {
    await using at = await plainSite(
      { "/set": (ctx) => assign(ctx, { a: 1 }), "/show": show },
      { load: "lazy" },
    );
    const browser = at.browser();
    await browser.get("/set");
    expect(await browser.text("/show")).toBe('{"a":1}');
  });

  test("is mounted once, at however many levels", async () => {
    const sessions = createSessions({ property: "lanai" });
    const app = new Koa();
    const seen: unknown[] = [];
    app.use(sessions.middleware());
    for (let level = 0; level < 3; level++) {
      app.use(plainSession(sessions));
      app.use((ctx, next) => {
        seen.push(ctx.session);
        return next();
      });
    }
    await using served = await serve(app);
    await new Browser(served).get("/");
    expect(seen).toHaveLength(3);
    expect(new Set(seen).size).toBe(1);
  });

  test("can be at another property, beside the session itself", async () => {
    const sessions = createSessions<{ user: string }>();
    const app = new Koa();
    app.use(sessions.middleware());
    app.use(plainSession(sessions, { property: "plain" }));
    app.use((ctx) => {
      (ctx as unknown as { plain: PlainSession }).plain.user = "ada";
      ctx.body = ctx.session.get("user");
    });
    await using served = await serve(app);
    expect(await new Browser(served).text("/")).toBe("ada");
  });

  test("refuses a property that is taken, and says what to write", async () => {
    const [sessions, others] = [createSessions(), createSessions({ property: "others" })];
    const app = new Koa();
    const errors: unknown[] = [];
    app.on("error", (error) => errors.push(error));
    app.use(sessions.middleware());
    app.use(others.middleware());
    app.use(plainSession(others, { property: "plain" }));
    app.use((ctx, next) => plainSession(sessions, { property: ctx.path.slice(1) })(ctx, next));
    await using served = await serve(app);
    const properties = ["session", "state", "plain"];
    for (const property of properties) await new Browser(served).get(`/${property}`);
    expect(errors).toMatchObject(
      properties.map((property) => ({
        name: "TypeError",
        message: `ctx.${property} is taken: give createSessions another property, such as 'lanai'`,
      })),
    );
  });

  test.each([5, "", "a b", null])("refuses the property %o", (property) => {
    const call = () => plainSession(createSessions(), { property: property as never });
    expect(call).toThrow(TypeError);
    expect(call).toThrow('plainSession: property must be a name such as "session", got ');
  });

  test("refuses an option that it doesn't have", () => {
    const call = () => plainSession(createSessions(), { key: "sid" } as never);
    expect(call).toThrow('plainSession: there is no option "key": its options are property');
  });
});
