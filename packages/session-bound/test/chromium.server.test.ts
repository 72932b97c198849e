import { execFile } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { programPath } from "../../../scripts/servers.js";
import {
  BOUND,
  BOUND_WITH_QUOTA,
  type Certificate,
  DeviceEvents,
  makeCertificate,
  startBoundChromium,
} from "../../../scripts/services/bound-chromium.ts";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { stoppedClock } from "./clock.ts";
import { heard } from "./events.ts";
import { fetchIsOk, holdTab, socketOpens, streamOpens } from "./page.ts";
import { startProcess, startSwitch } from "./processes.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

const COOKIE = "__Host-bound";
const LIFETIME = 600_000;

let certificate: Certificate;
let chromium: Browser;

beforeAll(async () => {
  certificate = makeCertificate();
  chromium = await startBoundChromium(certificate, BOUND);
});

afterAll(() => chromium?.close());

const secureSite = (options: SiteOptions = {}): Promise<Site> =>
  startSite({ certificate, lifetime: LIFETIME, ...options });

interface BoundTab extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly events: DeviceEvents;
}

/** A visitor's tab on a page of the site; nobody is signed in. */
async function openTab({ url }: { url: string }, browser = chromium): Promise<BoundTab> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const events = await DeviceEvents.of(page);
  await page.goto(`${url}/me`);
  return { context, page, events, [Symbol.asyncDispose]: () => context.close() };
}

/** A tab that is signed in, whose browser has registered. */
async function boundTab(site: { url: string }, browser = chromium): Promise<BoundTab> {
  const tab = await openTab(site, browser);
  expect(await statusOf(tab.page, "/sign-in")).toBe(200);
  const created = await tab.events.next((it) => it.creationEventDetails !== undefined);
  expect(created.creationEventDetails?.fetchResult).toBe("Success");
  return tab;
}

const statusOf = (page: Page, path: string): Promise<number> =>
  page.evaluate(async (it) => (await fetch(it)).status, path);

/** As time does it: the browser has to refresh before its next request. */
const forgetCookie = ({ context }: BoundTab) => context.clearCookies({ name: COOKIE });

const jarOf = async ({ context }: BoundTab, { url }: { url: string }): Promise<string> =>
  (await context.cookies(url)).map(({ name, value }) => `${name}=${value}`).join("; ");

/** What a thief's curl gets with a copy of the jar. */
async function curl(jar: string, url: string): Promise<number> {
  const options = [
    "--silent",
    "--insecure",
    "--output",
    "/dev/null",
    "--write-out",
    "%{http_code}",
  ];
  const { stdout } = await promisify(execFile)(programPath("curl"), [
    ...options,
    "--cookie",
    jar,
    url,
  ]);
  return Number(stdout);
}

describe("in Chromium with device-bound sessions", () => {
  test("D1: a copy of the whole jar works in curl until the bound cookie expires; the browser goes on", async () => {
    const { clock, advance } = stoppedClock();
    await using site = await secureSite({ clock });
    await using tab = await boundTab(site);
    const jar = await jarOf(tab, site);
    expect(jar).toContain(COOKIE);
    expect(await curl(jar, `${site.url}/strict`)).toBe(200);
    advance(LIFETIME);
    await forgetCookie(tab);
    expect(await curl(jar, `${site.url}/me`)).toBe(401);
    expect(await statusOf(tab.page, "/strict")).toBe(200);
    expect(await curl(jar, `${site.url}/me`)).toBe(401);
  });

  test("D1: the thief's WebSocket and event stream end, the owner's idle tab stays", async () => {
    await using site = await secureSite({ lifetime: 2_000, grace: 2_500 });
    await using tab = await boundTab(site);
    const extended = tab.page.evaluate(holdTab);
    const headers = { cookie: await jarOf(tab, site) };
    const address = site.url.replace("https", "wss");
    const socket = new WebSocket(`${address}/tab`, { headers, rejectUnauthorized: false });
    const stream = promisify(execFile)(programPath("curl"), [
      ...["--silent", "--insecure", "--cookie", headers.cookie, `${site.url}/events`],
    ]);
    expect(await once(socket, "close")).toEqual([4403, Buffer.from("bound")]);
    expect((await stream).stdout).toContain("data: open");
    expect(await extended).toBe("extended");
    expect(site.listeners.map((it) => it.endReason).filter((it) => it === undefined)).toHaveLength(
      1,
    );
  });

  test.each([
    ["fetch", fetchIsOk],
    ["WebSocket", socketOpens],
    ["EventSource", streamOpens],
  ])("D3: a %s waits until the browser has refreshed", async (_name, open) => {
    await using site = await secureSite();
    await using tab = await boundTab(site);
    await forgetCookie(tab);
    expect(await tab.page.evaluate(open)).toBe(true);
  });

  test("D3: five tabs at once go on, with requests that come while a refresh is in flight", async () => {
    const gate = Promise.withResolvers<void>();
    const refreshing = Promise.withResolvers<void>();
    let refreshes = 0;
    using refused = heard("refused");
    await using site = await secureSite({
      before: async (ctx, next) => {
        if (ctx.path === "/device-bound/refresh") {
          refreshes += 1;
          refreshing.resolve();
          await gate.promise;
        }
        await next();
      },
    });
    await using tab = await boundTab(site);
    const pages = [tab.page];
    for (let i = 0; i < 4; i++) {
      const page = await tab.context.newPage();
      await page.goto(`${site.url}/me`);
      pages.push(page);
    }
    await forgetCookie(tab);
    const first = statusOf(tab.page, "/strict");
    await refreshing.promise;
    const others = pages.map((page) => statusOf(page, "/strict"));
    gate.resolve();
    expect(await Promise.all([first, ...others])).toEqual([200, 200, 200, 200, 200, 200]);
    expect(refreshes).toBe(1);
    expect([...refused]).toEqual([]);
  });

  test("D3: a browser that has no challenge asks for one, and signs that", async () => {
    const statuses: number[] = [];
    await using site = await secureSite({
      before: async (ctx, next) => {
        await next();
        if (ctx.path === "/device-bound/register") ctx.remove("Secure-Session-Challenge");
        if (ctx.path === "/device-bound/refresh") statuses.push(ctx.status);
      },
    });
    await using tab = await boundTab(site);
    await forgetCookie(tab);
    expect(await statusOf(tab.page, "/strict")).toBe(200);
    expect(statuses).toEqual([403, 200]);
  });

  test("D3: a refresh whose reply is lost is made good by the next", async () => {
    const statuses: number[] = [];
    await using site = await secureSite({
      before: async (ctx, next) => {
        await next();
        if (ctx.path !== "/device-bound/refresh") return;
        if (statuses.push(ctx.status) === 1) ctx.req.socket.destroy();
      },
    });
    await using tab = await boundTab(site);
    await forgetCookie(tab);
    expect([401, 200]).toContain(await statusOf(tab.page, "/strict"));
    await forgetCookie(tab);
    expect(await statusOf(tab.page, "/strict")).toBe(200);
    expect(statuses.slice(0, 3)).toEqual([200, 403, 200]);
  });

  test("D3: requests that cross a renewal of the session's id go on", async () => {
    await using site = await secureSite();
    await using tab = await boundTab(site);
    for (let i = 0; i < 3; i++) {
      await forgetCookie(tab);
      const both = [statusOf(tab.page, "/renew"), statusOf(tab.page, "/me")];
      expect(await Promise.all(both)).toEqual([200, 200]);
    }
    expect(await statusOf(tab.page, "/strict")).toBe(200);
  });

  test("D3: a link from another site, for which no browser refreshes, shows its page", async () => {
    const statuses: number[] = [];
    await using site = await secureSite({
      before: async (ctx, next) => {
        ctx.res.on("finish", () => ctx.path === "/strict" && statuses.push(ctx.res.statusCode));
        await next();
      },
      route: (ctx) => {
        ctx.type = "html";
        ctx.body = `<a href="${String(ctx.query.to)}">the link</a>`;
      },
    });
    await using tab = await boundTab(site);
    const elsewhere = site.url.replace("localhost", "127.0.0.1");
    await tab.page.goto(`${elsewhere}/link?to=${encodeURIComponent(`${site.url}/strict?a=b#c`)}`);
    await forgetCookie(tab);
    await tab.page.getByText("the link").click();
    await tab.page.getByText("bound", { exact: true }).waitFor();
    expect([tab.page.url(), statuses]).toEqual([`${site.url}/strict?a=b`, [401, 200]]);
  });

  test("a sign-out ends the session on both sides", async () => {
    await using site = await secureSite();
    await using tab = await boundTab(site);
    const jar = await jarOf(tab, site);
    const ended = tab.events.next((it) => it.terminationEventDetails !== undefined);
    expect(await statusOf(tab.page, "/sign-out")).toBe(200);
    expect(await statusOf(tab.page, "/me")).toBe(200);
    expect((await ended).terminationEventDetails?.deletionReason).toBe("ServerRequested");
    expect(await jarOf(tab, site)).not.toContain(COOKIE);
    expect(await curl(jar, `${site.url}/strict`)).toBe(401);
  });

  test("a session that was ended elsewhere ends in the browser with its next request", async () => {
    await using site = await secureSite();
    await using tab = await boundTab(site);
    await site.sessions.destroyAll({ user: "ada" });
    await forgetCookie(tab);
    expect(await statusOf(tab.page, "/strict")).toBe(401);
    const ended = await tab.events.next((it) => it.terminationEventDetails !== undefined);
    expect(ended.terminationEventDetails?.deletionReason).toBe("ServerRequested");
  });

  test.each([
    ["signs in again", "/sign-in?user=bob"],
    ["re-authenticates", "/re-authenticate"],
  ])("who %s is bound again", async (_name, path) => {
    await using site = await secureSite();
    await using tab = await boundTab(site);
    const from = tab.events.all.length;
    expect(await statusOf(tab.page, path)).toBe(200);
    await tab.events.next((it) => it.creationEventDetails !== undefined, from);
    await forgetCookie(tab);
    expect(await statusOf(tab.page, "/strict")).toBe(200);
  });

  test("what is excluded is asked for without a refresh", async () => {
    using refreshed = heard("refreshed");
    await using site = await secureSite({ scope: { exclude: ["/open"] } });
    await using tab = await boundTab(site);
    await forgetCookie(tab);
    expect(await statusOf(tab.page, "/open/a")).toBe(200);
    expect([...refreshed]).toEqual([]);
    expect(await statusOf(tab.page, "/me")).toBe(200);
    expect(refreshed).toHaveLength(1);
  });
});

describe("with Redis and two processes", () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterAll(() => redis?.stop());

  test("D3: the server that made the challenge is killed, and another takes the proof", async () => {
    const options = { certificate, redis: redis.port };
    const [first, second] = await Promise.all([startProcess(options), startProcess(options)]);
    await using _first = first;
    await using _second = second;
    await using front = await startSwitch(first);
    await using tab = await boundTab(front);
    expect(await statusOf(tab.page, "/strict")).toBe(200);
    front.turnTo(second);
    expect(await statusOf(tab.page, "/strict")).toBe(200);
    await first.kill();
    await forgetCookie(tab);
    const from = tab.events.all.length;
    expect(await statusOf(tab.page, "/strict")).toBe(200);
    const refreshed = await tab.events.next((it) => it.refreshEventDetails !== undefined, from);
    expect(refreshed.refreshEventDetails?.refreshResult).toBe("Refreshed");
  });
});

describe("in Chromium that has signed too often", () => {
  let limited: Browser;

  beforeAll(async () => {
    limited = await startBoundChromium(certificate, BOUND_WITH_QUOTA);
  });

  afterAll(() => limited?.close());

  test.each([
    ["refuse", 401, "info"],
    ["allow", 200, "warn"],
  ] as const)(
    "a request that skipped its refresh meets the policy %s",
    async (onSkipped, status, level) => {
      using skipped = heard("skipped");
      await using site = await secureSite({ onSkipped });
      await using tab = await boundTab(site, limited);
      let last = 0;
      for (let tries = 0; skipped.length === 0 && tries < 20; tries++) {
        await forgetCookie(tab);
        last = await statusOf(tab.page, "/me");
      }
      expect([last, ...skipped]).toEqual([
        status,
        { level, session: expect.any(String), reason: "quota_exceeded" },
      ]);
    },
  );
});

describe("in a browser without device-bound sessions", () => {
  test.each([
    ["if-bound", 200],
    ["always", 401],
  ] as const)(
    "the policy %s decides after the time for a registration",
    async (require, status) => {
      const { clock, advance } = stoppedClock();
      await using site = await secureSite({ clock, require });
      const browser = await startBoundChromium(certificate);
      const { page } = await openTab(site, browser);
      expect(await statusOf(page, "/sign-in")).toBe(200);
      expect(await statusOf(page, "/me")).toBe(200);
      advance(60_000);
      expect(await statusOf(page, "/me")).toBe(status);
      expect(await statusOf(page, "/strict")).toBe(401);
      await browser.close();
    },
  );
});
