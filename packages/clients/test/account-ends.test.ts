import { devicesPage } from "@lanai/session/devices";
import { expect, test } from "vitest";
import { Browser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

/** A site with the page of devices, and a way to act for a user. */
async function startAccounts(): Promise<Site> {
  let page: ReturnType<typeof devicesPage> | undefined;
  const site: Site = await startSite({
    route: async (ctx) => {
      page ??= devicesPage({ sessions: site.sessions, clients: site.clients });
      if (ctx.path === "/act") ctx.body = ctx.session.impersonate("ada") ?? "acting";
      else if (ctx.path === "/stop") ctx.body = { stopped: await ctx.session.stopImpersonating() };
      else await page(ctx, async () => {});
    },
  });
  return site;
}

const post = (browser: Browser, path: string, fields: Record<string, string> = {}) =>
  browser.get(path, {
    method: "POST",
    headers: { "Sec-Fetch-Site": "same-origin" },
    body: new URLSearchParams(fields),
  });

test("the page shows which devices are connected, and the end of one closes its sockets", async () => {
  await using site = await startAccounts();
  const laptop = await new Browser(site).signIn("ada");
  const phone = await new Browser(site).signIn("ada");
  expect(await (await laptop.get("/devices")).text()).not.toContain("Connected now");
  const tab = await phone.open(site);
  expect(await (await laptop.get("/devices")).text()).toContain("Connected now");
  const own = await laptop.open(site);
  const ended = await post(laptop, "/devices/end", { device: tab.listener.session ?? "" });
  expect(ended.status).toBe(303);
  expect((await tab.closed).code).toBe(4401);
  expect(own.listener.endReason).toBeUndefined();
  await post(laptop, "/devices/end-all");
  expect((await own.closed).code).toBe(4401);
});

test.each(["/stop", "/sign-out"])(
  "the end of an impersonation by %s closes its sockets",
  async (path) => {
    await using site = await startAccounts();
    const grace = await new Browser(site).signIn("grace");
    await grace.get("/act");
    const tab = await grace.open(site);
    expect(tab.listener.user).toBe("ada");
    await grace.get(path);
    expect((await tab.closed).code).toBe(4401);
  },
);

test("a socket that was open before stays the impersonator's, and reconnects when they stop", async () => {
  await using site = await startAccounts();
  const grace = await new Browser(site).signIn("grace");
  const tab = await grace.open(site);
  await grace.get("/act");
  expect(tab.listener.endReason).toBeUndefined();
  expect(tab.listener.user).toBe("grace");
  await grace.get("/stop");
  expect((await tab.closed).code).toBe(4403);
});

test("the end of the impersonator's session closes the sockets of the user whom they act for", async () => {
  await using site = await startAccounts();
  const grace = await new Browser(site).signIn("grace");
  await grace.get("/act");
  const tab = await grace.open(site);
  await site.sessions.destroyAll({ user: "grace" });
  expect((await tab.closed).code).toBe(4401);
});

test("destroyAll({ everyone: true }) closes every socket that has a session", async () => {
  await using site = await startAccounts();
  const tabs = [];
  for (const user of ["ada", "grace", "ada"]) {
    tabs.push(await (await new Browser(site).signIn(user)).open(site));
  }
  expect(await site.sessions.destroyAll({ everyone: true })).toBe(3);
  for (const tab of tabs) expect((await tab.closed).code).toBe(4401);
});
