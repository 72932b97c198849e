import { describe, expect, test } from "vitest";
import { expectRedirect, failure, startApp } from "./app.ts";
import { Browser } from "./browser.ts";
import { eachTest } from "./each-test.ts";

const site = eachTest(startApp);

describe("what comes from outside", () => {
  test("is escaped wherever it is shown", async () => {
    const name = `<b>"&'</b>`;
    const escaped = "&#60;b&#62;&#34;&#38;&#39;&#60;/b&#62;";
    const again = await site.browser.post("/sign-in", { name, password: "wrong" });
    expect(await again.text()).toContain(`value="${escaped}"`);
    await site.browser.signIn(name);
    for (const path of ["/", "/home", "/devices"]) {
      const page = await site.browser.page(path);
      expect(page, path).toContain(escaped);
      expect(page, path).not.toContain("<b>");
    }
  });

  test.each([
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { Origin: "https://elsewhere.example" },
    { Origin: "null" },
  ])("is refused if another site posts it: %o", async (headers) => {
    await site.browser.signIn("ada");
    const response = await site.browser.request("/sign-out", {
      method: "POST",
      headers: headers as Record<string, string>,
    });
    expect(response.status).toBe(403);
    expect(await response.text()).toContain("This request came from another site");
    expect((await site.browser.get("/me")).status).toBe(200);
  });

  test("is accepted if a page of this site posts it, or no browser", async () => {
    for (const headers of [{ "Sec-Fetch-Site": "same-origin" }, { Origin: site.url }, {}]) {
      // Each without a cookie: a program that sends one says its origin too.
      const response = await new Browser(site.url).request("/sign-out", {
        method: "POST",
        headers: headers as Record<string, string>,
      });
      expect(response.status).toBe(303);
    }
  });

  test("is refused if it is no form, or too long a one", async () => {
    const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
    expect((await site.browser.request("/sign-in", json)).status).toBe(415);
    expect((await site.browser.signIn("a".repeat(9_000))).status).toBe(413);
  });
});

describe("a hostile sign-in", () => {
  test.each(["\0a", "\u202Egnp.exe", "a\u2028b", "\u200Ba"])(
    "with the name %j is a 400",
    async (name) => {
      const response = await site.browser.signIn(name);
      expect(response.status).toBe(400);
      expect(site.store.size).toBe(0);
    },
  );

  test("is slowed down after five wrong passwords, for that name alone", async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) {
      statuses.push(
        (await site.browser.post("/sign-in", { name: "ada", password: "guess" })).status,
      );
    }
    expect(statuses).toEqual([422, 422, 422, 422, 422, 429]);
    const refused = await site.browser.signIn("ada");
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(await refused.text()).toContain("Slow down");
    expectRedirect(await site.browser.signIn("bob"), 303, "/home");
  });

  test("that is too long closes the connection, and says so", async () => {
    const response = await site.browser.signIn("a".repeat(9_000));
    expect(response.status).toBe(413);
    expect(response.headers.get("connection")).toBe("close");
  });
});

test.each([
  ["GET", "/no-such-page", 404, "Nobody here"],
  ["GET", "/sign-out", 405, "Not that way"],
  ["POST", "/sign-in", 415, "Not a form"],
])("%s %s is a page for %d", async (method, path, status, title) => {
  const response = await site.browser.request(path, { method });
  expect(response.status).toBe(status);
  expect(await response.text()).toContain(title);
});

test("a page for 401 is shown to a browser, and a page for 403 to what another site posts", async () => {
  const asked = await site.browser.request("/me", { headers: { Accept: "text/html,*/*;q=0.8" } });
  expect(asked.status).toBe(401);
  expect(asked.headers.get("www-authenticate")).toContain("ERR_SESSION_REQUIRED");
  expect(await asked.text()).toContain("Sign in first");
  const headers = { "Sec-Fetch-Site": "cross-site" };
  const posted = await site.browser.request("/sign-in", { method: "POST", headers });
  expect(posted.status).toBe(403);
  expect(await posted.text()).toContain("Not from there");
});

test("a failure is a page for 500 that says nothing of it, and is reported", async () => {
  const reported: unknown[] = [];
  site.app.on("error", (error) => reported.push(error));
  const response = await site.browser.get("/fails");
  expect(response.status).toBe(500);
  const page = await response.text();
  expect(page).toContain("That was our fault");
  expect(page).not.toContain("secret");
  expect(reported).toContain(failure);
});

test("an unreachable store is a page for 503", async () => {
  await site.browser.signIn("ada");
  site.store.load = () => {
    throw new Error("unreachable");
  };
  const response = await site.browser.get("/home");
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("Back in a moment");
});

test("every page forbids inline scripts, other sites' files and foreign frames", async () => {
  const policyOf = async (path: string) =>
    (await site.browser.get(path)).headers.get("content-security-policy");
  for (const path of ["/", "/sign-in", "/no-such-page", "/styles/base.css", "/demos/said-once"]) {
    const policy = await policyOf(path);
    expect(policy, path).toContain("default-src 'none'; script-src 'self';");
    expect(policy, path).toContain("frame-ancestors 'none'");
    expect(policy, path).not.toContain("unsafe");
  }
  expect(await policyOf("/demos/said-once/a")).toContain("frame-ancestors 'self'");
});

test("the stylesheet and the icon are there, and cost no look at the store", async () => {
  await site.browser.signIn("ada");
  site.store.load = () => {
    throw new Error("the store was asked");
  };
  const style = await site.browser.get("/styles/base.css");
  expect(style.headers.get("content-type")).toBe("text/css; charset=utf-8");
  expect(await style.text()).toContain("prefers-color-scheme: dark");
  const icon = await site.browser.get("/favicon.svg");
  expect(icon.headers.get("content-type")).toBe("image/svg+xml");
});

test("an unknown address is a 404 with a page", async () => {
  const response = await site.browser.get("/no-such-page");
  expect(response.status).toBe(404);
  expect(await response.text()).toContain("There is no page at this address");
});
