import { flash } from "@lanai/flash";
import { createSessions, type Store, sealedStore } from "@lanai/session";
import { jwtStore } from "@lanai/session-jwt";
import Koa from "koa";
import { afterAll, describe, expect, test } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { Browser, serve } from "../../session/test/http.ts";

const SECRET = "a secret of thirty-two bytes, at least";
const stores: readonly [string, () => Store][] = [
  ["sealedStore", () => sealedStore({ context: "test", keys: [SECRET] })],
  ["jwtStore", () => jwtStore({ secret: SECRET, issuer: "test", expiresIn: 600_000 })],
];

const dropped = reported<{ level: string; count: number }>("lanai:flash:dropped");
afterAll(() => dropped[Symbol.dispose]());

const answer = async (browser: Browser, path: string) =>
  (await (await browser.get(path)).json()) as { visits: number; messages: string[] };

describe.each(stores)("on %s, which takes few bytes", (_name, store) => {
  const open = async () => {
    const app = new Koa();
    app.use(createSessions({ store: store() }).middleware());
    app.use(flash());
    let n = 0;
    app.use(async (ctx) => {
      const { session } = ctx;
      if (ctx.path === "/leave") {
        session.set("visits", session.getInt("visits") + 1);
        ctx.flash(`${n++} ${"x".repeat(200)}`);
      }
      if (ctx.path === "/both") for (let i = 0; i < 40; i++) ctx.flash(`${n++} ${"y".repeat(200)}`);
      if (ctx.path === "/alone") ctx.flash("x".repeat(9_000));
      if (ctx.path === "/large") session.set("large", "z".repeat(9_000));
      if (ctx.path === "/long") ctx.flash("x".repeat(2_000));
      if (ctx.path === "/keep") {
        await ctx.flash.pop();
        ctx.flash.keep();
        session.set("notes", "z".repeat(2_000));
      }
      const messages = ctx.path === "/" ? await ctx.flash.pop() : [];
      ctx.body = { visits: session.getInt("visits"), messages: messages.map((it) => it.message) };
    });
    app.silent = true;
    return serve(app);
  };

  test("a visitor who never looks breaks no page: the oldest messages are dropped", async () => {
    await using served = await open();
    const browser = new Browser(served);
    for (let n = 1; n <= 40; n++) {
      const response = await browser.get("/leave");
      expect(await response.json()).toMatchObject({ visits: n });
      expect(response.status).toBe(200);
    }
    const { visits, messages } = await answer(browser, "/");
    expect(visits).toBe(40);
    expect(messages.length).toBeGreaterThan(3);
    const numbers = messages.map((it) => Number.parseInt(it, 10));
    expect(numbers).toEqual(messages.map((_, at) => 40 - messages.length + at));
  });

  test("one first response that leaves too many keeps the newest", async () => {
    await using served = await open();
    const browser = new Browser(served);
    expect((await browser.get("/both")).status).toBe(200);
    const { messages } = await answer(browser, "/");
    expect(messages.at(-1)).toMatch(/^39 /);
    expect(messages.length).toBeLessThan(40);
  });

  test("one message that doesn't fit alone is an error, and those before it stay", async () => {
    await using served = await open();
    const browser = new Browser(served);
    await browser.get("/leave");
    expect((await browser.get("/alone")).status).toBe(500);
    expect((await answer(browser, "/")).messages).toHaveLength(1);
  });

  test("one message that is kept gives way to what the app stores", async () => {
    await using served = await open();
    const browser = new Browser(served);
    await browser.get("/long");
    expect((await browser.get("/keep")).status).toBe(200);
    expect((await answer(browser, "/")).messages).toEqual([]);
  });

  test("what the app has stored is not dropped: it is still too large", async () => {
    await using served = await open();
    const browser = new Browser(served);
    await browser.get("/leave");
    expect((await browser.get("/large")).status).toBe(500);
  });
});

test("what was dropped is reported, once a minute", () => {
  expect(dropped.events).toEqual([{ level: "warn", count: 1 }]);
});

describe("bounds", () => {
  const errorOf = async (leave: (ctx: Koa.Context) => void) => {
    const app = new Koa();
    app.use(
      createSessions({ store: sealedStore({ context: "test", keys: [SECRET] }) }).middleware(),
    );
    app.use(flash());
    app.silent = true;
    let error: unknown;
    app.use((ctx) => {
      try {
        leave(ctx);
      } catch (it) {
        error = it;
      }
      ctx.status = 204;
    });
    await using served = await serve(app);
    await fetch(served.url);
    return error;
  };

  test.each<[string, (ctx: Koa.Context) => void]>([
    ["a message of 16,001 characters", (ctx) => ctx.flash("x".repeat(16_001))],
    ["a level of 16,001", (ctx) => ctx.flash("a", "x".repeat(16_001))],
    ["data of more than 50,000", (ctx) => ctx.flash("a", "info", { text: "x".repeat(50_000) })],
    ["bytes of more than that", (ctx) => ctx.flash("a", "info", new Uint8Array(50_000))],
    ["a map of more", (ctx) => ctx.flash("a", "info", new Map([["x", "x".repeat(50_000)]]))],
    ["more beside a bigint", (ctx) => ctx.flash("a", "info", [1n, "x".repeat(50_000)])],
    ["a message for this request alone", (ctx) => ctx.flash.now("x".repeat(16_001))],
  ])("%s is a RangeError that doesn't tell it", async (_what, leave) => {
    const error = await errorOf(leave);
    expect(error).toBeInstanceOf(RangeError);
    expect(String(error)).not.toContain("xxx");
  });

  test("what is just short enough is taken", async () => {
    expect(
      await errorOf((ctx) => ctx.flash("x".repeat(16_000), "y".repeat(16_000), 1n)),
    ).toBeUndefined();
    const data = "z".repeat(50_000 - '""'.length);
    expect(await errorOf((ctx) => ctx.flash("a", "info", data))).toBeUndefined();
  });
});
