import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type FlashDropped, type FlashError, flash, flashOf } from "@lanai/flash";
import { session } from "@lanai/session";
import { extend } from "@lanai/session/extension";
import Koa, { type Context } from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import { Browser, serve } from "../../session/test/http.ts";
import { type Site, type SiteOptions, site } from "../../session/test/site.ts";
import { hold } from "../../session/test/steered-store.ts";

type Handler = (ctx: Context) => unknown;

/** One visitor's requests, one handler each, in turn; what the handlers answer. */
async function visits(options: SiteOptions, ...handlers: Handler[]): Promise<unknown[]> {
  const routes = Object.fromEntries(handlers.map((handler, n) => [`/${n}`, handler]));
  await using it = await site(routes, { below: flash(), ...options });
  const browser = it.browser();
  const answers: unknown[] = [];
  for (const path of Object.keys(routes)) {
    const response = await browser.get(path);
    const text = await response.text();
    expect(response.status, `${path}: ${text} ${it.errors}`).toBeLessThan(300);
    answers.push(text === "" ? undefined : JSON.parse(text));
  }
  return answers;
}

const pop: Handler = (ctx) => ctx.flash.pop();
const nothing: Handler = () => {};

/** What a handler threw; the site answers 500 and tells it. */
async function failure(it: Site, path: string): Promise<FlashError> {
  const response = await it.browser().get(path);
  expect(response.status).toBe(500);
  expect(await response.text()).toBe("Internal Server Error");
  return it.errors.at(-1) as FlashError;
}

describe("a message", () => {
  test("has the level info, unless another one is named", async () => {
    const leave: Handler = (ctx) => {
      ctx.flash("one");
      ctx.flash("two", "warning");
      ctx.flash("three", "what ever");
    };
    expect(await visits({}, leave, pop)).toEqual([
      undefined,
      [
        { level: "info", message: "one" },
        { level: "warning", message: "two" },
        { level: "what ever", message: "three" },
      ],
    ]);
  });

  test.each(["info", "success", "warning", "error"] as const)(
    "has a short way: %s",
    async (level) => {
      const leave: Handler = (ctx) => {
        ctx.flash[level]("text");
        ctx.flash[level]("more", { n: 1 });
      };
      const [, popped] = await visits({}, leave, pop);
      expect(popped).toEqual([
        { level, message: "text" },
        { level, message: "more", data: { n: 1 } },
      ]);
    },
  );

  test("carries data beside its text, of all kinds that a session stores", async () => {
    const data = { when: new Date(5), ids: new Set([1n]), list: [null, "", 0] };
    const leave: Handler = (ctx) => ctx.flash("Saved", "success", data);
    const check: Handler = async (ctx) => {
      expect(await ctx.flash.pop()).toEqual([{ level: "success", message: "Saved", data }]);
    };
    await visits({}, leave, check);
  });

  test("has data that is falsy where it was given, and none where it wasn't", async () => {
    const leave: Handler = (ctx) => {
      for (const data of [0, "", false, null]) ctx.flash("text", "info", data);
      ctx.flash("text", "info", undefined);
    };
    const check: Handler = async (ctx) => {
      const [, ...more] = await ctx.flash.pop();
      expect(more.map((message) => message.data)).toEqual(["", false, null, undefined]);
      expect(more.map((message) => "data" in message)).toEqual([true, true, true, false]);
    };
    await visits({}, leave, check);
  });

  test("comes in the order in which it was left, by one request and the next", async () => {
    const texts = Array.from({ length: 40 }, (_, n) => n);
    const leave: Handler = (ctx) => {
      for (const n of texts.slice(0, 20)) ctx.flash(n);
    };
    const leaveMore: Handler = (ctx) => {
      for (const n of texts.slice(20)) ctx.flash(n);
    };
    const check: Handler = async (ctx) => {
      expect((await ctx.flash.pop()).map(({ message }) => message)).toEqual(texts);
    };
    await visits({}, leave, leaveMore, check);
  });

  test("is seen by the request that leaves it, and taken by its pop", async () => {
    const leave: Handler = async (ctx) => {
      ctx.flash("text");
      expect(ctx.flash.peek()).toHaveLength(1);
      return ctx.flash.pop();
    };
    expect(await visits({}, leave, pop)).toEqual([[{ level: "info", message: "text" }], []]);
  });

  test("is not among the app's own entries, and outlives their clear", async () => {
    const leave: Handler = (ctx) => {
      ctx.session.set("theme", "dark");
      ctx.flash("text");
    };
    const clear: Handler = (ctx) => {
      const keys = ctx.session.keys();
      ctx.session.clear();
      return keys;
    };
    expect(await visits({}, leave, clear, pop)).toEqual([
      undefined,
      ["theme"],
      [{ level: "info", message: "text" }],
    ]);
  });

  test("says farewell after the session was destroyed", async () => {
    const enter: Handler = (ctx) => ctx.session.login("ada");
    const leave: Handler = async (ctx) => {
      await ctx.session.destroy();
      ctx.flash.success("Bye");
    };
    const see: Handler = async (ctx) => [ctx.session.userId ?? null, await ctx.flash.pop()];
    const [, , seen] = await visits({}, enter, leave, see);
    expect(seen).toEqual([null, [{ level: "success", message: "Bye" }]]);
  });
});

describe("pop", () => {
  test("takes those of one level, and leaves the others in their order", async () => {
    const leave: Handler = (ctx) => {
      ctx.flash("a", "error");
      ctx.flash("b");
      ctx.flash("c", "error");
      ctx.flash("d");
    };
    expect(await visits({}, leave, (ctx) => ctx.flash.pop("error"), pop)).toEqual([
      undefined,
      [
        { level: "error", message: "a" },
        { level: "error", message: "c" },
      ],
      [
        { level: "info", message: "b" },
        { level: "info", message: "d" },
      ],
    ]);
  });

  test("is one commit, however many messages there are", async () => {
    const leave: Handler = (ctx) => {
      for (let n = 0; n < 50; n++) ctx.flash(n);
    };
    await using it = await site({ "/leave": leave, "/pop": pop }, { below: flash() });
    const browser = it.browser();
    await browser.get("/leave");
    it.store.calls.length = 0;
    expect(JSON.parse(await browser.text("/pop"))).toHaveLength(50);
    expect(it.store.calls).toEqual(["load", "commit"]);
  });

  test("of several levels at once, in one request, gives each message once", async () => {
    const leave: Handler = (ctx) => {
      ctx.flash("stored", "error");
    };
    const popAll: Handler = async (ctx) => {
      ctx.flash("pending", "error");
      ctx.flash("other", "info");
      const popped = await Promise.all([
        ctx.flash.pop("error"),
        ctx.flash.pop("info"),
        ctx.flash.pop(),
        ctx.flash.pop("error"),
      ]);
      return popped.map((messages) => messages.map(({ message }) => message));
    };
    expect(await visits({}, leave, popAll, pop)).toEqual([
      undefined,
      [["stored", "pending"], ["other"], [], []],
      [],
    ]);
  });

  test("that failed takes nothing, and the next one works", async () => {
    let fail = false;
    const twice: Handler = async (ctx) => {
      fail = true;
      await expect(ctx.flash.pop()).rejects.toMatchObject({
        code: "ERR_SESSION_STORE_UNAVAILABLE",
      });
      fail = false;
      return ctx.flash.pop();
    };
    const routes = { "/leave": (ctx: Context) => ctx.flash("text"), "/twice": twice };
    await using it = await site(routes, { below: flash() });
    const { around } = it.store;
    it.store.around = (method, call) => {
      if (fail) throw new Error("away");
      return around(method, call);
    };
    const browser = it.browser();
    await browser.get("/leave");
    expect(JSON.parse(await browser.text("/twice"))).toEqual([{ level: "info", message: "text" }]);
  });
});

describe("peek", () => {
  test("reads and leaves, all or one level, and writes nothing", async () => {
    const leave: Handler = (ctx) => {
      ctx.flash("a", "error", { n: 1 });
      ctx.flash("b");
    };
    const peek: Handler = (ctx) => [ctx.flash.peek(), ctx.flash.peek("info"), ctx.flash.peek("x")];
    await using it = await site(
      { "/leave": leave, "/peek": peek, "/pop": pop },
      { below: flash() },
    );
    const browser = it.browser();
    await browser.get("/leave");
    it.store.calls.length = 0;
    const [a, b] = [
      { level: "error", message: "a", data: { n: 1 } },
      { level: "info", message: "b" },
    ];
    expect(JSON.parse(await browser.text("/peek"))).toEqual([[a, b], [b], []]);
    expect(it.store.calls).toEqual(["load"]);
    expect(JSON.parse(await browser.text("/pop"))).toEqual([a, b]);
  });
});

describe("keep", () => {
  test("puts back what was taken, in its old place, for the next request", async () => {
    const leave: Handler = (ctx) => {
      ctx.flash("a");
      ctx.flash("b");
    };
    const keep: Handler = async (ctx) => {
      await ctx.flash.pop();
      ctx.flash("c");
      ctx.flash.keep();
    };
    const [, , popped, after] = await visits({}, leave, keep, pop, pop);
    expect(popped).toEqual(["a", "b", "c"].map((message) => ({ level: "info", message })));
    expect(after).toEqual([]);
  });

  test("puts back those of one level", async () => {
    const leave: Handler = (ctx) => {
      ctx.flash("a", "error");
      ctx.flash("b");
    };
    const keep: Handler = async (ctx) => {
      await ctx.flash.pop();
      ctx.flash.keep("error");
      ctx.flash.keep("none");
    };
    const [, , popped] = await visits({}, leave, keep, pop);
    expect(popped).toEqual([{ level: "error", message: "a" }]);
  });

  test("twice is once, and what was put back can be taken and put back again", async () => {
    const leave: Handler = (ctx) => ctx.flash("a");
    const keep: Handler = async (ctx) => {
      await ctx.flash.pop();
      ctx.flash.keep();
      ctx.flash.keep();
      expect(await ctx.flash.pop()).toHaveLength(1);
      ctx.flash.keep();
    };
    const [, , popped] = await visits({}, leave, keep, pop);
    expect(popped).toEqual([{ level: "info", message: "a" }]);
  });

  test("does not bring back what was kept, and another request has taken since", async () => {
    const keep: Handler = async (ctx) => {
      await ctx.flash.pop();
      ctx.flash.keep();
      await ctx.session.commit();
      const other = await it.sessions.open(ctx.session.id ?? "");
      const taken = other && (await flashOf(other).pop());
      ctx.flash.keep();
      return taken;
    };
    const leave: Handler = (ctx) => ctx.flash("a");
    await using it = await site(
      { "/leave": leave, "/keep": keep, "/pop": pop },
      { below: flash() },
    );
    const browser = it.browser();
    await browser.get("/leave");
    expect(JSON.parse(await browser.text("/keep"))).toEqual([{ level: "info", message: "a" }]);
    expect(await browser.text("/pop")).toBe("[]");
  });

  test("takes what now told along, once", async () => {
    const keep: Handler = (ctx) => {
      ctx.flash.now("a", "success", 1);
      ctx.flash.keep();
      return ctx.flash.peek();
    };
    const messages = [{ level: "success", message: "a", data: 1 }];
    expect(await visits({}, keep, pop)).toEqual([messages, messages]);
  });

  test("without anything to keep writes nothing and sets no cookie", async () => {
    await using it = await site({ "/": (ctx) => ctx.flash.keep() }, { below: flash() });
    const response = await it.browser().get("/");
    expect(response.status).toBe(204);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(it.store.calls).toEqual([]);
  });
});

describe("now", () => {
  test("is for this request alone: once by pop, again by peek, never stored", async () => {
    const tell: Handler = async (ctx) => {
      ctx.flash.now("a");
      ctx.flash.now("b", "error", 0);
      const peeked = ctx.flash.peek();
      return [peeked, await ctx.flash.pop("error"), await ctx.flash.pop(), await ctx.flash.pop()];
    };
    await using it = await site({ "/tell": tell, "/pop": pop }, { below: flash() });
    const [a, b] = [
      { level: "info", message: "a" },
      { level: "error", message: "b", data: 0 },
    ];
    const response = await it.browser().get("/tell");
    expect(await response.json()).toEqual([[a, b], [b], [a], []]);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(it.store.calls).toEqual([]);
  });

  test("stands in order with what was left before and after it", async () => {
    const leave: Handler = (ctx) => ctx.flash("a");
    const tell: Handler = (ctx) => {
      ctx.flash("b");
      ctx.flash.now("c");
      ctx.flash("d");
      return ctx.flash.pop();
    };
    const [, popped] = await visits({}, leave, tell);
    expect(popped).toEqual(["a", "b", "c", "d"].map((message) => ({ level: "info", message })));
  });
});

describe("a life of one request", () => {
  const below = flash({ life: "next-request" });
  const leave: Handler = (ctx) => {
    ctx.flash("a");
    ctx.flash("b", "error");
  };
  const [a, b] = [
    { level: "info", message: "a" },
    { level: "error", message: "b" },
  ];

  test("ends with the next request, whether it asks or not", async () => {
    expect(await visits({ below }, leave, pop, pop)).toEqual([undefined, [a, b], []]);
    expect(await visits({ below }, leave, nothing, pop)).toEqual([undefined, undefined, []]);
    const look: Handler = (ctx) => ctx.flash.peek("info");
    expect(await visits({ below }, leave, look, pop)).toEqual([undefined, [a], []]);
  });

  test("is prolonged by keep, for what was taken and what wasn't", async () => {
    const keepAnd =
      (text: string): Handler =>
      async (ctx) => {
        ctx.flash(text, "info");
        await ctx.flash.pop("error");
        ctx.flash.keep();
      };
    const answers = await visits({ below }, leave, keepAnd("c"), keepAnd("d"), pop, pop);
    const [c, d] = ["c", "d"].map((message) => ({ level: "info", message }));
    expect(answers).toEqual([undefined, undefined, undefined, [a, b, c, d], []]);
  });

  test("begins when a message is left: it waits for the request after", async () => {
    const more: Handler = (ctx) => {
      ctx.flash("c");
    };
    const [, , popped] = await visits({ below }, leave, more, pop);
    expect(popped).toEqual([{ level: "info", message: "c" }]);
  });

  test("gives of two next requests one the messages", async () => {
    await using it = await site({ "/leave": leave, "/pop": pop }, { below });
    const browser = it.browser();
    await browser.get("/leave");
    const popped = await Promise.all([1, 2].map(() => browser.text("/pop")));
    expect(popped.sort()).toEqual(["[]", JSON.stringify([a, b])]);
  });

  test("does not count a HEAD, nor a prefetch", async () => {
    await using it = await site({ "/leave": leave, "/pop": pop }, { below });
    const browser = it.browser();
    await browser.get("/leave");
    await browser.request("/pop", { method: "HEAD" });
    await browser.request("/pop", { headers: { "Sec-Purpose": "prefetch" } });
    expect(JSON.parse(await browser.text("/pop"))).toEqual([a, b]);
  });

  test("costs a load where nothing waits, and one commit more where something does", async () => {
    await using it = await site({ "/leave": leave, "/": nothing }, { below });
    const browser = it.browser();
    expect((await browser.get("/")).headers.getSetCookie()).toEqual([]);
    expect(it.store.calls).toEqual([]);
    await browser.get("/leave");
    it.store.calls.length = 0;
    await browser.get("/");
    await browser.get("/");
    expect(it.store.calls).toEqual(["load", "commit", "load"]);
  });

  test("loads a lazy session", async () => {
    const answers = await visits({ below, load: "lazy" }, leave, pop, pop);
    expect(answers).toEqual([undefined, [a, b], []]);
  });
});

describe("the bound", () => {
  const dropped = (): FlashDropped[] => {
    const heard: FlashDropped[] = [];
    const listener = (event: unknown) => void heard.push(event as FlashDropped);
    subscribe("lanai:flash:dropped", listener);
    onTestFinished(() => void unsubscribe("lanai:flash:dropped", listener));
    return heard;
  };
  const texts = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, n) => ({ level: "info", message: from + n }));
  const leave =
    (from: number, to: number): Handler =>
    (ctx) => {
      for (let n = from; n < to; n++) ctx.flash(n);
    };

  test("keeps the newest 100 that wait, and tells what it drops", async () => {
    const heard = dropped();
    const [, , , popped] = await visits({}, leave(0, 60), leave(60, 100), leave(100, 130), pop);
    expect(popped).toEqual(texts(30, 130));
    expect(heard).toEqual(Array(30).fill({ level: "warn", count: 1 }));
  });

  test("is maxMessages", async () => {
    const below = flash({ maxMessages: 2 });
    const [, , popped] = await visits({ below }, leave(0, 1), leave(1, 3), pop);
    expect(popped).toEqual(texts(1, 3));
  });

  test("limit: requests at the same moment pass it together, and the next one restores it", async () => {
    const routes = { "/a": leave(0, 1), "/b": leave(1, 2), "/c": leave(2, 3), "/pop": pop };
    await using it = await site(routes, { below: flash({ maxMessages: 1 }) });
    const browser = it.browser();
    await browser.get("/a");
    const both = it.browser();
    for (const [name, value] of browser.cookies) both.cookies.set(name, value);
    const door = hold(it.store, "commit");
    const slow = both.get("/b");
    await door.reached;
    await browser.get("/c");
    door.open();
    await slow;
    const opened = await it.sessions.open(browser.cookies.get("sid") ?? "");
    expect(opened && extend(opened).namespace("flash").keys()).toHaveLength(2);
    await browser.get("/a");
    expect(JSON.parse(await browser.text("/pop"))).toEqual(texts(0, 1));
  });

  test("holds for what keep puts back", async () => {
    const keep: Handler = async (ctx) => {
      await ctx.flash.pop();
      for (let n = 2; n < 4; n++) ctx.flash(n);
      ctx.flash.keep();
    };
    const [, , popped] = await visits({ below: flash({ maxMessages: 3 }) }, leave(0, 2), keep, pop);
    expect(popped).toEqual(texts(1, 4));
  });

  test("is an error for a request that leaves 10,000, and what it had left before stays", async () => {
    const heard = dropped();
    const routes = { "/": leave(0, 10_000), "/pop": pop };
    await using it = await site(routes, { below: flash() });
    const browser = it.browser();
    expect((await browser.get("/")).status).toBe(500);
    expect(it.errors).toMatchObject([{ name: "FlashError", code: "ERR_FLASH_TOO_MANY" }]);
    expect(String(it.errors[0])).toContain("left 100 messages, which is maxMessages");
    expect(JSON.parse(await browser.text("/pop"))).toEqual(texts(0, 100));
    expect(heard).toEqual([]);
  });

  test("does not count what is for this request alone", async () => {
    const tell: Handler = async (ctx) => {
      for (let n = 0; n < 10_000; n++) ctx.flash.now(n);
      expect((await ctx.flash.pop()).map(({ message }) => message)).toEqual(
        texts(0, 10_000).map(({ message }) => message),
      );
    };
    await visits({}, tell);
  });
});

describe("without a session", () => {
  const use: Handler = (ctx) => ctx.flash("text");
  const alone = async (below = flash()): Promise<Koa> => {
    const app = new Koa();
    app.silent = true;
    app.use(below);
    app.use(async (ctx) => {
      if (ctx.path === "/use") await use(ctx);
      if (ctx.path === "/pop") await ctx.flash.pop();
      ctx.body = "fine";
    });
    return app;
  };

  test.each(["/use", "/pop"])("%s is an error that says which line to add", async (path) => {
    const app = await alone();
    const errors: unknown[] = [];
    app.on("error", (error) => errors.push(error));
    await using served = await serve(app);
    expect((await new Browser(served).get(path)).status).toBe(500);
    expect(errors).toMatchObject([{ code: "ERR_FLASH_NO_SESSION" }]);
    expect(String(errors[0])).toContain("add app.use(session()) before it");
  });

  test("a page that doesn't use it is served", async () => {
    await using served = await serve(await alone());
    expect(await new Browser(served).text("/")).toBe("fine");
  });

  test("the session of another package is none", async () => {
    const app = new Koa();
    const errors: unknown[] = [];
    app.on("error", (error) => errors.push(error));
    app.use((ctx, next) => {
      Object.assign(ctx, { session: { user: "ada" } });
      return next();
    });
    app.use(flash());
    app.use(use);
    await using served = await serve(app);
    expect((await new Browser(served).get("/")).status).toBe(500);
    expect(errors).toMatchObject([{ code: "ERR_FLASH_NO_SESSION" }]);
  });

  test("the line to add names the property", async () => {
    const routes = { "/": use };
    await using it = await site(routes, { below: flash({ property: "tab" }) });
    const error = await failure(it, "/");
    expect(error.code).toBe("ERR_FLASH_NO_SESSION");
    expect(error.message).toContain(
      'app.use(createSessions({ property: "tab" }).middleware()) before it',
    );
  });
});

describe("flashOf", () => {
  test("leaves a message from outside a request, stored by the session's commit", async () => {
    const tell: Handler = (ctx) => {
      ctx.session.set("a", 1);
    };
    await using it = await site({ "/": tell, "/pop": pop }, { below: flash() });
    const browser = it.browser();
    await browser.get("/");
    const opened = await it.sessions.open(browser.cookies.get("sid") ?? "");
    if (opened === undefined) throw new Error("no session");
    const messages = flashOf(opened);
    messages.success("Your report is ready", { href: "/report" });
    expect(await browser.text("/pop")).toBe("[]");
    await opened.commit();
    expect(JSON.parse(await browser.text("/pop"))).toEqual([
      { level: "success", message: "Your report is ready", data: { href: "/report" } },
    ]);
  });
});

describe("what can't be a message", () => {
  const bad: readonly (readonly [what: string, handler: Handler, says: string])[] = [
    ["no text", (ctx) => ctx.flash(undefined as never), "got undefined"],
    ["null", (ctx) => ctx.flash(null as never), "got null"],
    ["NaN", (ctx) => ctx.flash(Number.NaN), "got NaN"],
    ["Infinity", (ctx) => ctx.flash.now(Infinity), "got Infinity"],
    [
      "an object",
      (ctx) => ctx.flash({ secret: 1 } as never),
      "got object: anything else goes into",
    ],
    ["a function", (ctx) => ctx.flash((() => "secret") as never), "got function"],
    ["a level that is no string", (ctx) => ctx.flash("a", 0 as never), "got number"],
    ["a level that is an array", (ctx) => ctx.flash.now("a", ["x"] as never), "got object"],
    ["to pop such a level", (ctx) => ctx.flash.pop(null as never), "got object"],
    ["to peek such a level", (ctx) => ctx.flash.peek(0 as never), "got number"],
    ["to keep such a level", (ctx) => ctx.flash.keep(0 as never), "got number"],
    ["data that no session stores", (ctx) => ctx.flash("a", "info", { run() {} }), "a function"],
  ];

  test.each(bad)("%s is a TypeError that doesn't show it", async (_what, handler, says) => {
    await using it = await site({ "/": handler }, { below: flash() });
    const error = await failure(it, "/");
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(says);
    expect(error.message).not.toContain("secret");
  });
});

test("after the head has left a message is an error, and asking when there is none is not", async () => {
  const late: Handler = async (ctx) => {
    ctx.respond = false;
    ctx.res.end("sent");
    const asked = await ctx.flash.pop().then(JSON.stringify);
    try {
      ctx.flash("late");
    } catch (error) {
      told.push(asked, (error as { code: string }).code);
    }
  };
  const told: string[] = [];
  await using it = await site({ "/": late }, { below: flash() });
  await it.browser().get("/");
  expect(told).toEqual(["[]", "ERR_SESSION_SENT"]);
});

test("session() and flash() are all it takes", async () => {
  const app = new Koa();
  app.use(session());
  app.use(flash());
  app.use(async (ctx) => {
    if (ctx.path === "/leave") ctx.flash("text");
    else ctx.body = await ctx.flash.pop();
  });
  await using served = await serve(app);
  const browser = new Browser(served);
  await browser.get("/leave");
  expect(await browser.text("/")).toBe('[{"level":"info","message":"text"}]');
});
