import type { Store } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { expectRedirect, publicIdOf, startApp } from "./app.ts";
import { eachTest } from "./each-test.ts";

const site = eachTest(startApp);

const NOTICE = 'role="status"';

describe("a stranger", () => {
  test("reads the first page without a session", async () => {
    expect(await site.browser.page("/")).toContain("Sessions that two tabs can’t break");
    expect(site.browser.cookies.size).toBe(0);
    expect(site.store.size).toBe(0);
  });

  test.each(["/home", "/devices"])("is sent from %s to sign in, told why once", async (path) => {
    expectRedirect(await site.browser.get(path), 302, "/sign-in");
    const page = await site.browser.get("/sign-in");
    expect(await page.text()).toContain("Please sign in first");
    expect(page.headers.get("cache-control")).toBe("no-store");
    expect(await site.browser.page("/sign-in")).not.toContain(NOTICE);
  });

  test("sees in one of two tabs why they have to sign in, and a prefetch takes no message", async () => {
    await site.browser.get("/home");
    const prefetch = { headers: { "Sec-Purpose": "prefetch" } };
    expect(await (await site.browser.request("/sign-in", prefetch)).text()).not.toContain(NOTICE);
    const tabs = await Promise.all([1, 2].map(() => site.browser.page("/sign-in")));
    expect(tabs.filter((page) => page.includes("Please sign in first"))).toHaveLength(1);
  });

  test("is refused by a route's own middleware with a 401", async () => {
    const response = await site.browser.get("/me");
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("ERR_SESSION_REQUIRED");
    expect(site.store.size).toBe(0);
  });

  test.each([
    { name: "ada", password: "wrong" },
    { name: " ", password: "aloha" },
    { name: "a".repeat(41), password: "aloha" },
    {},
  ])("with the wrong credentials sees the form again, and no session is written", async (form) => {
    const response = await site.browser.post("/sign-in", { ...form } as Record<string, string>);
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain("Invalid credentials");
    expect(page).toContain(`value="${(form.name ?? "").trim()}"`);
    expect(site.browser.cookies.size).toBe(0);
    expect(site.store.size).toBe(0);
  });
});

describe("a visitor who signs in", () => {
  test("is recognised on every page", async () => {
    expectRedirect(await site.browser.signIn("ada"), 303, "/home");
    for (const path of ["/", "/home", "/devices", "/no-such-page"]) {
      expect(await site.browser.page(path), path).toContain('<span class="user">ada</span>');
    }
    expectRedirect(await site.browser.get("/sign-in"), 302, "/home");
  });

  test("gets a new id, and the old one opens nothing", async () => {
    await site.browser.get("/home");
    const before = site.browser.clone();
    await site.browser.signIn("ada");
    expect(site.browser.cookies.get("sid")).not.toBe(before.cookies.get("sid"));
    expectRedirect(await before.get("/home"), 302, "/sign-in");
  });

  test("has every visit counted, also those at the same moment", async () => {
    await site.browser.signIn("ada");
    expect(await site.browser.page("/home")).toContain(
      '<strong class="count">1</strong> time since',
    );
    const load = site.store.load.bind(site.store);
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
    Object.assign(site.store, { load: together });
    await Promise.all(Array.from({ length: 8 }, () => site.browser.get("/home")));
    expect(await site.browser.page("/home")).toContain(
      '<strong class="count">10</strong> times since',
    );
  });

  test("sees the facts of the session, and never its id", async () => {
    await site.browser.signIn("ada");
    const page = await site.browser.page("/home");
    expect(page).toContain(await publicIdOf(site.browser));
    expect(page).toContain("1 Jan 2030, 12:00 UTC");
    const id = site.browser.cookies.get("sid") ?? "";
    expect(id).toHaveLength(43);
    for (const path of ["/home", "/devices", "/me"]) {
      expect(await site.browser.page(path), path).not.toContain(id);
    }
  });

  test("is forgotten after half an hour away", async () => {
    await site.browser.signIn("ada");
    site.advance(31 * 60_000);
    expectRedirect(await site.browser.get("/home"), 302, "/sign-in");
  });

  test("and stays signed in is known for 30 days, also after the browser was closed", async () => {
    const response = await site.browser.signIn("ada", { stay: "yes" });
    expect(response.headers.getSetCookie()[0]).toContain("Max-Age=2592000");
    site.advance(29 * 24 * 60 * 60_000);
    expect((await site.browser.get("/home")).status).toBe(200);
    site.advance(31 * 24 * 60 * 60_000);
    expect((await site.browser.get("/home")).status).toBe(302);
  });

  test("has pages that no cache keeps", async () => {
    await site.browser.signIn("ada");
    const { headers } = await site.browser.get("/home");
    expect(headers.get("cache-control")).toBe("no-store");
  });
});

describe("a sign-out", () => {
  test("is final, also for a copy of the cookie", async () => {
    await site.browser.signIn("ada");
    const thief = site.browser.clone();
    expectRedirect(await site.browser.post("/sign-out"), 303, "/sign-in");

    expect(await site.browser.page("/sign-in")).toContain("You are signed out");
    expect(await site.browser.page("/sign-in")).not.toContain(NOTICE);
    expectRedirect(await site.browser.get("/home"), 302, "/sign-in");
    expectRedirect(await thief.get("/home"), 302, "/sign-in");
    expect((await thief.get("/me")).status).toBe(401);
  });

  test("is not a link: a GET is answered with 405", async () => {
    await site.browser.signIn("ada");
    expect((await site.browser.get("/sign-out")).status).toBe(405);
    expect((await site.browser.get("/me")).status).toBe(200);
  });

  test("leaves nothing for the next user of the browser", async () => {
    await site.browser.signIn("ada");
    await site.browser.get("/home");
    await site.browser.post("/sign-out");
    await site.browser.signIn("bob");
    const page = await site.browser.page("/home");
    expect(page).not.toContain("ada");
    expect(page).toContain('<strong class="count">1</strong>');
  });
});
