import type { Context, Middleware } from "koa";
import { expect, test } from "vitest";
import { site } from "./site.ts";

const trusted: Middleware = (ctx, next) => {
  ctx.app.proxy = true;
  return next();
};

const open = (handler: (ctx: Context) => unknown) => site({ "/": handler }, { above: trusted });
const https = { headers: { "X-Forwarded-Proto": "https" } };

test("destroy({ clearSiteData }) sends the header over HTTPS", async () => {
  await using it = await open((ctx) =>
    ctx.session.destroy({ clearSiteData: ["storage", "cache"] }),
  );
  const response = await fetch(it.url, https);
  expect(response.headers.get("Clear-Site-Data")).toBe('"storage", "cache"');
});

test("nothing is sent over plain HTTP, nor by default", async () => {
  await using asked = await open((ctx) => ctx.session.destroy({ clearSiteData: ["storage"] }));
  expect((await fetch(asked.url)).headers.has("Clear-Site-Data")).toBe(false);
  await using plain = await open((ctx) => ctx.session.destroy());
  expect((await fetch(plain.url, https)).headers.has("Clear-Site-Data")).toBe(false);
});

test("the header outlives an error of the app, as the cleared cookie does", async () => {
  await using it = await open(async (ctx) => {
    await ctx.session.destroy({ clearSiteData: ["storage"] });
    ctx.throw(403);
  });
  const response = await fetch(it.url, https);
  expect(response.status).toBe(403);
  expect(response.headers.get("Clear-Site-Data")).toBe('"storage"');
});

test("a sign-out that fails clears nothing", async () => {
  await using it = await open((ctx) =>
    ctx.query.in ? ctx.session.login("ada") : ctx.session.destroy({ clearSiteData: ["storage"] }),
  );
  const [cookie = ""] = (await fetch(`${it.url}/?in=1`, https)).headers.getSetCookie();
  it.store.around = (method, call) => {
    if (method === "destroy") throw new Error("the store is down");
    return call();
  };
  const headers = { ...https.headers, Cookie: cookie.split(";")[0] ?? "" };
  const response = await fetch(it.url, { headers });
  expect(response.status).toBe(503);
  expect(response.headers.has("Clear-Site-Data")).toBe(false);
});

test.each<unknown>([["storage", "all"], [], "storage", ["Storage"]])(
  "refuses %o, which browsers don't know",
  async (clearSiteData) => {
    await using it = await open(async (ctx) => {
      await expect(ctx.session.destroy({ clearSiteData } as never)).rejects.toThrow(
        "destroy(options): clearSiteData must be an array of",
      );
    });
    expect((await fetch(it.url, https)).status).toBe(204);
  },
);
