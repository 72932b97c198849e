import { createSessions, memoryStore, type Sessions } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { until } from "../../../scripts/testing/until.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

/** A tab: it keeps its token, comes back at 4403, and remembers what it heard. */
const PAGE = `<!doctype html><title>tab</title><script>
  window.messages = [];
  window.codes = [];
  window.connect = (url) => {
    const socket = new WebSocket(url ?? "ws://" + location.host + "/live");
    socket.onopen = () => {
      const { token } = sessionStorage;
      socket.send(JSON.stringify({ event: "session", data: { token } }));
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.event === "session") sessionStorage.token = message.data.token ?? sessionStorage.token;
      window.messages.push(message);
    };
    socket.onclose = ({ code }) => {
      window.codes.push(code);
      if (code === 4403) setTimeout(window.connect, 50);
    };
  };
  window.ask = async (path) => {
    const response = await fetch(path, { headers: { "Session-ID": sessionStorage.token ?? "" } });
    sessionStorage.token = response.headers.get("Session-ID") ?? sessionStorage.token;
    return response.text();
  };
</script>`;

interface Tab {
  messages: { event: string; data: unknown }[];
  codes: number[];
  connect(url?: string): void;
  ask(path: string): Promise<string>;
  open(url: string): unknown;
  readonly document: { readonly cookie: string };
}
/** What the page has, where its functions run. */
declare const window: Tab;

let chromium: Browser;

beforeAll(async () => {
  chromium = await startChromium();
});

afterAll(() => chromium?.close());

async function startPages(options: SiteOptions = {}): Promise<Site> {
  const tracker = jwtTracker({
    secret: "a secret of thirty-two characters",
    issuer: "test",
    client: (ctx) => site.clients.idOf(ctx),
  });
  const sessions: Sessions = createSessions({ store: memoryStore(), tracker });
  const site: Site = await startSite({
    sessions,
    tokenHeader: "Session-ID",
    route: async (ctx) => {
      if (ctx.path === "/page") {
        ctx.type = "html";
        ctx.body = PAGE;
      } else if (ctx.path === "/devices") {
        ctx.body = await site.clients.devices(ctx).list();
      } else if (ctx.path === "/revoke") {
        ctx.body = await site.clients.devices(ctx).revoke(String(ctx.query.id));
      }
    },
    ...options,
  });
  return site;
}

/** A tab whose session is known. */
async function openTab(context: BrowserContext, site: Site, page?: Page): Promise<Page> {
  const tab = page ?? (await context.newPage());
  if (!page) await tab.goto(`${site.url}/page`);
  await tab.evaluate(() => window.connect());
  await tab.waitForFunction(() => window.messages.some((it) => it.event === "session"));
  return tab;
}

const signIn = async (tab: Page, user: string): Promise<void> => {
  await tab.evaluate((name) => window.ask(`/sign-in?user=${name}`), user);
  // It comes back with the token of the renewed session.
  await tab.waitForFunction(() => window.codes.includes(4403) && window.messages.length > 1);
};

const heard = (tab: Page, event: string): Promise<unknown[]> =>
  tab.evaluate(
    (name) => window.messages.filter((it) => it.event === name).map((it) => it.data),
    event,
  );

const waitFor = async (tab: Page, event: string): Promise<void> => {
  await tab.waitForFunction((name) => window.messages.some((it) => it.event === name), event);
};

describe("in Chromium", () => {
  test("three tabs of one browser and one of another: a tab, a client, a user", async () => {
    await using site = await startPages();
    const [mine, other] = [await chromium.newContext(), await chromium.newContext()];
    const tabs: Page[] = [];
    for (let i = 0; i < 3; i++) tabs.push(await openTab(mine, site));
    const [first, second, third] = tabs as [Page, Page, Page];
    const stranger = await openTab(other, site);
    const listeners = site.listeners.filter((it) => it.endReason === undefined);
    expect(new Set(listeners.map((it) => it.session)).size).toBe(4);
    expect(new Set(listeners.map((it) => it.client)).size).toBe(2);
    expect(listeners[0]?.client).toBe(listeners[2]?.client);

    await site.clients.send({ session: listeners[1]?.session ?? "" }, "to-tab");
    await waitFor(second, "to-tab");
    await site.clients.send({ client: listeners[0]?.client ?? "" }, "to-client");
    for (const tab of tabs) await waitFor(tab, "to-client");

    await signIn(first, "ada");
    await signIn(stranger, "ada");
    await site.clients.send({ user: "ada" }, "to-user");
    for (const tab of [first, stranger]) await waitFor(tab, "to-user");
    for (const tab of [first, third, stranger]) expect(await heard(tab, "to-tab")).toEqual([]);
    expect(await heard(stranger, "to-client")).toEqual([]);
    for (const tab of [second, third]) expect(await heard(tab, "to-user")).toEqual([]);
    await Promise.all([mine.close(), other.close()]);
    await until(() => expect(site.clients.size.listeners).toBe(0));
  });

  test("Duplicate Tab shares the session: both hear, and both are ended", async () => {
    await using site = await startPages();
    const context = await chromium.newContext();
    const tab = await openTab(context, site);
    // Like a duplicate, a tab that a page opens begins with a copy of its sessionStorage.
    const opened = context.waitForEvent("page");
    await tab.evaluate(() => void window.open("/page"));
    const twin = await opened;
    await twin.waitForLoadState();
    await openTab(context, site, twin);
    const [one, two] = site.listeners;
    expect(two?.session).toBe(one?.session);
    await site.clients.send({ session: one?.session ?? "" }, "both");
    for (const it of [tab, twin]) await waitFor(it, "both");
    await site.clients.terminate({ session: one?.session ?? "" });
    for (const it of [tab, twin]) await it.waitForFunction(() => window.codes.includes(4401));
    await context.close();
  });

  test("the cookie of the 101 is stored, where scripts can't read it, and sent next", async () => {
    await using site = await startPages({ attach: { anonymous: true } });
    const context = await chromium.newContext();
    const tab = await context.newPage();
    await tab.goto(`${site.url}/page`);
    await context.clearCookies();
    await openTab(context, site, tab);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: "cid", httpOnly: true, sameSite: "Lax", path: "/" });
    expect(await tab.evaluate(() => window.document.cookie)).toBe("");
    const { client } = JSON.parse(await tab.evaluate(() => window.ask("/me")));
    expect(client).toBe(site.listeners[0]?.client);
    await context.close();
  });

  test("a page of another origin is refused before anything runs", async () => {
    await using site = await startPages({ attach: { anonymous: true } });
    await using foreign = await startPages();
    const context = await chromium.newContext();
    const tab = await context.newPage();
    await tab.goto(`${foreign.url.replace("127.0.0.1", "localhost")}/page`);
    await tab.evaluate((url) => window.connect(url), `${site.url.replace("http", "ws")}/live`);
    await tab.waitForFunction(() => window.codes.length > 0);
    expect(await tab.evaluate(() => window.codes)).toEqual([1006]);
    expect(site.listeners).toEqual([]);
    await context.close();
  });

  test("a device that is signed out elsewhere loses its tabs, and its next request is anonymous", async () => {
    await using site = await startPages();
    const [laptop, phone] = [await chromium.newContext(), await chromium.newContext()];
    const mine = await openTab(laptop, site);
    await signIn(mine, "ada");
    const theirs = await openTab(phone, site);
    await signIn(theirs, "ada");
    const list = JSON.parse(await mine.evaluate(() => window.ask("/devices")));
    expect(list).toHaveLength(2);
    const { publicId } = list.find((it: { isCurrent: boolean }) => !it.isCurrent);
    await mine.evaluate((id) => window.ask(`/revoke?id=${id}`), publicId);
    await theirs.waitForFunction(() => window.codes.at(-1) === 4401);
    expect(JSON.parse(await theirs.evaluate(() => window.ask("/me")))).toMatchObject({
      user: null,
    });
    expect(JSON.parse(await mine.evaluate(() => window.ask("/me")))).toMatchObject({ user: "ada" });
    await Promise.all([laptop.close(), phone.close()]);
  });
});
