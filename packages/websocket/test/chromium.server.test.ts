import { session } from "@lanai/session";
import Koa from "koa";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { siteOf } from "./site.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await startChromium();
});

afterAll(() => browser.close());

/** What a page of its own sees of a WebSocket until that closes, or until the first message. */
const visit = (page: Page, url: string): Promise<unknown> =>
  page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onmessage = ({ data }) => resolve(data);
        socket.onclose = ({ code, reason }) => resolve([code, reason]);
      }),
    url,
  );

function counter(): Koa {
  const app = new Koa();
  app.use(session());
  app.use(async (ctx) => {
    if (ctx.path === "/") {
      ctx.type = "html";
      ctx.body = `<p>${ctx.session.getInt("visits")}</p>`;
      return;
    }
    if (ctx.path !== "/count" && ctx.path !== "/over") return;
    ctx.session.set("visits", ctx.session.getInt("visits") + 1);
    const visits = ctx.session.getInt("visits");
    const socket = await ctx.upgrade();
    if (ctx.path === "/over") socket.close(4401, "ended");
    else socket.send(`visit ${visits}`);
  });
  return app;
}

test("a page stores the cookie of the 101, and sends it with what follows", async () => {
  await using site = await siteOf(counter());
  await using context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.url);
  expect(await context.cookies()).toEqual([]);
  const socket = `${site.url.replace("http", "ws")}/count`;
  expect(await visit(page, socket)).toBe("visit 1");
  expect(await context.cookies()).toMatchObject([{ name: "sid", httpOnly: true, sameSite: "Lax" }]);
  expect(await visit(page, socket)).toBe("visit 2");
  await page.reload();
  expect(await page.textContent("p")).toBe("2");
});

test("a page of a foreign origin is refused, and its visitor's session is not touched", async () => {
  await using site = await siteOf(counter());
  await using foreign = await siteOf(counter());
  await using context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.url);
  const socket = `${site.url.replace("http", "ws")}/count`;
  expect(await visit(page, socket)).toBe("visit 1");
  // Cookies know no port: this page's requests to the site bear the visitor's.
  await page.goto(foreign.url);
  expect(await visit(page, socket)).toEqual([1006, ""]);
  await page.goto(site.url);
  expect(await visit(page, socket)).toBe("visit 2");
});

test("a page of a listed origin may connect", async () => {
  await using foreign = await siteOf(counter());
  await using site = await siteOf(counter(), { origins: [foreign.url] });
  await using context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(foreign.url);
  expect(await visit(page, `${site.url.replace("http", "ws")}/count`)).toBe("visit 1");
});

test("a page hears why it was closed, and that the server restarts", async () => {
  await using site = await siteOf(counter());
  await using context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.url);
  const socket = site.url.replace("http", "ws");
  expect(await visit(page, `${socket}/over`)).toEqual([4401, "ended"]);
  const closed = page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const it = new WebSocket(url);
        it.onclose = ({ code, wasClean }) => resolve([code, wasClean]);
        it.onmessage = () => void fetch("/shut-down");
      }),
    `${socket}/count`,
  );
  await page.waitForRequest("**/shut-down");
  await site.upgrades.close();
  expect(await closed).toEqual([1012, true]);
});
