import { memoryStore, sealedStore } from "@lanai/session";
import { expect, test } from "vitest";
import { site } from "./site.ts";

test("S1: reading the public id of a new session stores nothing and sends nothing", async () => {
  await using it = await site({ "/": (ctx) => ctx.session.publicId });
  const response = await it.browser().get("/");
  expect(await response.text()).toMatch(/^[\w-]{22}$/);
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(response.headers.get("Vary")).toBe("Cookie");
  expect(it.store.calls).toEqual([]);
});

test.each([
  ["in memory", memoryStore],
  [
    "sealed",
    () => sealedStore({ context: "test", keys: ["a secret of thirty-two bytes, at least"] }),
  ],
])(
  "a public id that was read before the first write is that of the stored session (%s)",
  async (_what, make) => {
    const routes = {
      "/first": (ctx: Ctx) => {
        const before = ctx.session.publicId;
        ctx.session.set("a", 1);
        return `${before} ${ctx.session.publicId}`;
      },
      "/sign-in": (ctx: Ctx) => {
        const before = ctx.session.publicId;
        ctx.session.login("ada");
        return `${before} ${ctx.session.publicId}`;
      },
      "/": (ctx: Ctx) => `${ctx.session.publicId}`,
    };
    for (const path of ["/first", "/sign-in"]) {
      await using it = await site(routes, { store: make() });
      const browser = it.browser();
      const [before, after] = (await browser.text(path)).split(" ");
      expect(after).toBe(before);
      expect(await browser.text("/")).toBe(before);
    }
  },
);

test("after a sign-out another public id follows, also of a session that was never stored", async () => {
  const publicIds: (string | undefined)[] = [];
  const note = (ctx: Ctx) => void publicIds.push(ctx.session.publicId);
  await using it = await site({
    "/": async (ctx) => {
      note(ctx);
      await ctx.session.destroy();
      note(ctx);
      ctx.session.set("farewell", 1);
      await ctx.session.commit();
      note(ctx);
      await ctx.session.destroy();
      note(ctx);
    },
  });
  await it.browser().get("/");
  const [first, second, third, fourth] = publicIds;
  expect(second).toBe(third);
  expect(new Set([first, second, fourth]).size).toBe(3);
});

test("two requests without a session have different public ids", async () => {
  await using it = await site({ "/": (ctx) => ctx.session.publicId });
  expect(await it.browser().text("/")).not.toBe(await it.browser().text("/"));
});

interface Ctx {
  readonly session: {
    readonly publicId: string | undefined;
    set(key: string, value: unknown): unknown;
    login(user: string): unknown;
  };
}
