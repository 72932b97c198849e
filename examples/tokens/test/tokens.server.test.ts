import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createSessions, memoryStore } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import type Koa from "koa";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { api } from "../src/api.ts";
import { page as pageOf } from "../src/page.ts";

const MINUTE = 60_000;

const servers: Server[] = [];
const chromium = startChromium();
let ahead = 0;
let pageUrl = "";
let strangerUrl = "";

/** Listens first: the API and the page have to know each other's origin. */
async function listen(): Promise<{ server: Server; url: string }> {
  const server = createServer().listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const mount = (server: Server, app: Koa) => {
  const handle = app.callback();
  server.on("request", (req, res) => void handle(req, res));
};

beforeAll(async () => {
  const clock = () => Date.now() + ahead;
  const [apiAt, pageAt, strangerAt] = [await listen(), await listen(), await listen()];
  const sessions = createSessions({
    store: memoryStore({ clock }),
    tracker: jwtTracker({ secret: "the secret of a test, of 32 bytes.", issuer: "test", clock }),
  });
  mount(apiAt.server, api(sessions, pageAt.url));
  mount(pageAt.server, pageOf(apiAt.url));
  mount(strangerAt.server, pageOf(apiAt.url));
  pageUrl = pageAt.url;
  strangerUrl = strangerAt.url;
});

afterAll(async () => {
  await (await chromium).close();
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/** A new browser with nothing in it, in which somebody signs in. */
async function signIn(name: string): Promise<Page> {
  const context = await (await chromium).newContext();
  const page = await context.newPage();
  await page.goto(pageUrl);
  await page.fill("#name", name);
  await page.click("text=Sign in");
  await page.waitForSelector(`#who:text("${name}, 0 clicks")`);
  return page;
}

const tokenIn = (page: Page) => page.evaluate<string | null>("sessionStorage.getItem('token')");
const clicks = (page: Page, name: string, count: number) =>
  page.waitForSelector(`#who:text("${name}, ${count} clicks")`);

const generationOf = (token: string | null): number =>
  JSON.parse(Buffer.from(token?.split(".")[1] ?? "", "base64url").toString()).gen;

test("a page on another origin signs in, and stays signed in when it is loaded again", async () => {
  const page = await signIn("Ada");
  await page.click("#click");
  await clicks(page, "Ada", 1);
  await page.reload();
  await clicks(page, "Ada", 1);
  expect(await page.context().cookies()).toEqual([]);
  await page.click("text=Sign out");
  await page.waitForSelector("#name");
  expect(await tokenIn(page)).toBeNull();
});

test("a token that expires in mid-use is renewed, and no click is lost", async () => {
  const page = await signIn("Bob");
  const before = await tokenIn(page);
  expect(generationOf(before)).toBe(0);
  ahead += 20 * MINUTE;
  await page.click("#click");
  await clicks(page, "Bob", 1);
  expect(generationOf(await tokenIn(page))).toBe(1);

  ahead += 20 * MINUTE;
  const statuses = await page.evaluate<
    number[]
  >(`import("/token-fetch.js").then(({ tokenFetch }) => {
    const url = document.documentElement.dataset.api + "/clicks";
    const click = () => tokenFetch(url, { method: "POST" }).then(({ status }) => status);
    return Promise.all(Array.from({ length: 10 }, click));
  })`);
  expect(statuses).toEqual(Array.from({ length: 10 }, () => 200));
  expect(generationOf(await tokenIn(page))).toBe(2);
  await page.click("#click");
  await clicks(page, "Bob", 12);
});

test("each tab has a session of its own", async () => {
  const ada = await signIn("Ada");
  const tab = await ada.context().newPage();
  await tab.goto(pageUrl);
  await tab.waitForSelector("#name");
  await tab.fill("#name", "Bob");
  await tab.click("text=Sign in");
  await clicks(tab, "Bob", 0);
  await ada.click("#click");
  await clicks(ada, "Ada", 1);
});

test("a sign-out elsewhere shows at the next click, and the token is forgotten", async () => {
  const [here, there] = [await signIn("Eve"), await signIn("Eve")];
  await there.click("text=Sign out elsewhere");
  await there.waitForSelector('#notice:text("Signed out elsewhere: 1")');
  expect(await tokenIn(here)).not.toBeNull();
  await here.click("#click");
  await here.waitForSelector('#notice:text("You are signed out")');
  await here.waitForSelector("#name");
  expect(await tokenIn(here)).toBeNull();
  await there.click("#click");
  await clicks(there, "Eve", 1);
});

test("a page of a third origin is refused by the browser", async () => {
  const page = await (await (await chromium).newContext()).newPage();
  const logged = page.waitForEvent("console", (message) => message.text().includes("CORS policy"));
  await page.goto(strangerUrl);
  await logged;
  await page.waitForSelector('#notice:text("The API is out of reach")');
});
