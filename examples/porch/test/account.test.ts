import type { Store } from "@lanai/session";
import { beforeEach, describe, expect, test } from "vitest";
import { expectRedirect, publicIdOf, type StartedApp, startApp } from "./app.ts";
import type { Browser } from "./browser.ts";

let site: StartedApp;
let browser: Browser;
let store: StartedApp["store"];

beforeEach(async () => {
  site = await startApp();
  ({ browser, store } = site);
  return () => site.stop();
});

const NOTICE = 'role="status"';

describe("a stranger", () => {
  test("reads the first page without a session", async () => {
    expect(await browser.page("/")).toContain("Sessions that two tabs can’t break");
    expect(browser.cookies.size).toBe(0);
    expect(store.size).toBe(0);
  });

  test.each(["/home", "/devices"])("is sent from %s to sign in, told why once", async (path) => {
    expectRedirect(await browser.get(path), 302, "/sign-in");
    const page = await browser.get("/sign-in");
    expect(await page.text()).toContain("Please sign in first");
    expect(page.headers.get("cache-control")).toBe("no-store");
    expect(await browser.page("/sign-in")).not.toContain(NOTICE);
  });

  test("is told why by one of two tabs, and by none that only looks ahead", async () => {
    await browser.get("/home");
    const prefetch = { headers: { "Sec-Purpose": "prefetch" } };
    expect(await (await browser.request("/sign-in", prefetch)).text()).not.toContain(NOTICE);
    const tabs = await Promise.all([1, 2].map(() => browser.page("/sign-in")));
    expect(tabs.filter((page) => page.includes("Please sign in first"))).toHaveLength(1);
  });

  test("is refused by a route's own middleware with a 401", async () => {
    const response = await browser.get("/me");
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("ERR_SESSION_REQUIRED");
    expect(store.size).toBe(0);
  });

  test.each([
    { name: "ada", password: "wrong" },
    { name: " ", password: "aloha" },
    { name: "a".repeat(41), password: "aloha" },
    {},
  ])("with the wrong credentials sees the form again, and no session is written", async (form) => {
    const response = await browser.post("/sign-in", { ...form } as Record<string, string>);
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain("Invalid credentials");
    expect(page).toContain(`value="${(form.name ?? "").trim()}"`);
    expect(browser.cookies.size).toBe(0);
    expect(store.size).toBe(0);
  });
});

describe("a visitor who signs in", () => {
  test("is recognised on every page", async () => {
    expectRedirect(await browser.signIn("ada"), 303, "/home");
    for (const path of ["/", "/home", "/devices", "/no-such-page"]) {
      expect(await browser.page(path), path).toContain('<span class="user">ada</span>');
    }
    expectRedirect(await browser.get("/sign-in"), 302, "/home");
  });

  test("gets a new id, and the old one opens nothing", async () => {
    await browser.get("/home");
    const before = browser.clone();
    await browser.signIn("ada");
    expect(browser.cookies.get("sid")).not.toBe(before.cookies.get("sid"));
    expectRedirect(await before.get("/home"), 302, "/sign-in");
  });

  test("has every visit counted, also those at the same moment", async () => {
    await browser.signIn("ada");
    expect(await browser.page("/home")).toContain('<strong class="count">1</strong> time since');
    const load = store.load.bind(store);
    const all = Promise.withResolvers<void>();
    let loaded = 0;
    // Nobody goes on before all have seen the same count.
    const together: Store["load"] = async (key) => {
      const found = load(key);
      loaded++;
      if (loaded === 8) all.resolve();
      await all.promise;
      return found;
    };
    Object.assign(store, { load: together });
    await Promise.all(Array.from({ length: 8 }, () => browser.get("/home")));
    expect(await browser.page("/home")).toContain('<strong class="count">10</strong> times since');
  });

  test("sees the facts of the session, and never its id", async () => {
    await browser.signIn("ada");
    const page = await browser.page("/home");
    expect(page).toContain(await publicIdOf(browser));
    expect(page).toContain("1 Jan 2030, 12:00 UTC");
    const id = browser.cookies.get("sid") ?? "";
    expect(id).toHaveLength(43);
    for (const path of ["/home", "/devices", "/me"]) {
      expect(await browser.page(path), path).not.toContain(id);
    }
  });

  test("is forgotten after half an hour away", async () => {
    await browser.signIn("ada");
    site.advance(31 * 60_000);
    expectRedirect(await browser.get("/home"), 302, "/sign-in");
  });

  test("and stays signed in is known for 30 days, also after the browser was closed", async () => {
    const response = await browser.signIn("ada", { stay: "yes" });
    expect(response.headers.getSetCookie()[0]).toContain("Max-Age=2592000");
    site.advance(29 * 24 * 60 * 60_000);
    expect((await browser.get("/home")).status).toBe(200);
    site.advance(31 * 24 * 60 * 60_000);
    expect((await browser.get("/home")).status).toBe(302);
  });

  test("has pages that no cache keeps", async () => {
    await browser.signIn("ada");
    const { headers } = await browser.get("/home");
    expect(headers.get("cache-control")).toBe("no-store");
  });
});

describe("a sign-out", () => {
  test("is final, also for a copy of the cookie", async () => {
    await browser.signIn("ada");
    const thief = browser.clone();
    expectRedirect(await browser.post("/sign-out"), 303, "/sign-in");

    expect(await browser.page("/sign-in")).toContain("You are signed out");
    expect(await browser.page("/sign-in")).not.toContain(NOTICE);
    expectRedirect(await browser.get("/home"), 302, "/sign-in");
    expectRedirect(await thief.get("/home"), 302, "/sign-in");
    expect((await thief.get("/me")).status).toBe(401);
  });

  test("is not a link: a GET is answered with 405", async () => {
    await browser.signIn("ada");
    expect((await browser.get("/sign-out")).status).toBe(405);
    expect((await browser.get("/me")).status).toBe(200);
  });

  test("leaves nothing for the next user of the browser", async () => {
    await browser.signIn("ada");
    await browser.get("/home");
    await browser.post("/sign-out");
    await browser.signIn("bob");
    const page = await browser.page("/home");
    expect(page).not.toContain("ada");
    expect(page).toContain('<strong class="count">1</strong>');
  });
});
