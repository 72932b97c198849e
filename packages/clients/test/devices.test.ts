import type { Device } from "@lanai/clients";
import { describe, expect, test } from "vitest";
import { Browser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

async function startDevices(): Promise<Site> {
  const site: Site = await startSite({
    route: async (ctx) => {
      const devices = site.clients.devices(ctx);
      const id = String(ctx.query.id);
      if (ctx.path === "/devices") ctx.body = await devices.list();
      if (ctx.path === "/revoke") ctx.body = { revoked: await devices.revoke(id) };
      if (ctx.path === "/act") ctx.body = ctx.session.impersonate("grace") ?? "acting";
      if (ctx.path === "/revoke-others") ctx.body = { count: await devices.revokeOthers() };
      if (ctx.path === "/revoke-all") ctx.body = { count: await devices.revokeAll() };
    },
  });
  return site;
}

const listOf = async (browser: Browser): Promise<Device[]> =>
  (await (await browser.get("/devices")).json()) as Device[];

describe("C5: devices", () => {
  test("lists the user's sessions, the current one marked, and whether they are open", async () => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const phone = await new Browser(site).signIn("ada");
    await new Browser(site).signIn("grace");
    const { listener } = await phone.open(site);
    await phone.open(site);
    const list = await listOf(laptop);
    expect(list).toHaveLength(2);
    expect(list.find((it) => it.isCurrent)).toMatchObject({ listeners: 0 });
    expect(list.find((it) => !it.isCurrent)).toMatchObject({
      publicId: listener.session,
      client: listener.client,
      listeners: 2,
    });
  });

  test("holds no credential", async () => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const phone = await new Browser(site).signIn("ada");
    await phone.open(site);
    const text = JSON.stringify(await listOf(laptop));
    for (const browser of [laptop, phone]) {
      for (const value of browser.cookies.values()) expect(text).not.toContain(value);
    }
  });

  test("revokes one: its tabs close and its next request is anonymous", async () => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const phone = await new Browser(site).signIn("ada");
    const tab = await phone.open(site);
    const id = tab.listener.session;
    expect(await (await laptop.get(`/revoke?id=${id}`)).json()).toEqual({ revoked: true });
    expect(await tab.closed).toEqual({ code: 4401, reason: "terminated" });
    expect(await (await phone.get("/me")).json()).toMatchObject({ user: null });
    expect(await (await laptop.get("/me")).json()).toMatchObject({ user: "ada" });
  });

  test("revokes the current one as a sign-out: whoever acted for the user is signed out, too", async () => {
    await using site = await startDevices();
    const browser = await new Browser(site).signIn("ada");
    await browser.get("/act");
    const [{ publicId = "" } = {}] = await listOf(browser);
    expect(await (await browser.get(`/revoke?id=${publicId}`)).json()).toEqual({ revoked: true });
    for (const user of ["ada", "grace"]) expect(await site.sessions.list({ user })).toEqual([]);
  });

  test("answers a foreign public id like an unknown one", async () => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const grace = await new Browser(site).signIn("grace");
    const { listener } = await grace.open(site);
    const foreign = await laptop.get(`/revoke?id=${listener.session}`);
    const unknown = await laptop.get(`/revoke?id=${"x".repeat(22)}`);
    expect(await foreign.text()).toBe(await unknown.text());
    expect(foreign.status).toBe(unknown.status);
    expect(listener.endReason).toBeUndefined();
  });

  test("revokes the others, and keeps the one that asks", async () => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const phones = [await new Browser(site).signIn("ada"), await new Browser(site).signIn("ada")];
    const mine = await laptop.open(site);
    const tabs = [await phones[0]?.open(site), await phones[1]?.open(site)];
    expect(await (await laptop.get("/revoke-others")).json()).toEqual({ count: 2 });
    for (const tab of tabs) expect((await tab?.closed)?.code).toBe(4401);
    expect(mine.listener.endReason).toBeUndefined();
    expect(await listOf(laptop)).toHaveLength(1);
  });

  test.each(["/revoke-all", "current"])("%s signs out here too, cookie and all", async (what) => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const tab = await laptop.open(site);
    const path = what === "current" ? `/revoke?id=${tab.listener.session}` : what;
    expect((await laptop.get(path)).status).toBe(200);
    expect((await tab.closed).code).toBe(4401);
    expect(laptop.cookies.has("sid")).toBe(false);
    expect(await site.sessions.list({ user: "ada" })).toEqual([]);
  });

  test.each(["/devices", "/revoke?id=x", "/revoke-others", "/revoke-all"])(
    "%s is a 401 for a visitor who isn't signed in",
    async (path) => {
      await using site = await startDevices();
      const response = await new Browser(site).get(path);
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toContain("ERR_CLIENTS_NOT_SIGNED_IN");
    },
  );

  test("of 100 sign-ins beside a sign-out everywhere each has ended or is listed", async () => {
    await using site = await startDevices();
    const laptop = await new Browser(site).signIn("ada");
    const signIns = Array.from({ length: 100 }, () => new Browser(site).signIn("ada"));
    const all = laptop.get("/revoke-all");
    const browsers = await Promise.all(signIns);
    await all;
    let living = 0;
    for (const browser of browsers) {
      const { user } = (await (await browser.get("/me")).json()) as { user: string | null };
      if (user === "ada") living++;
    }
    expect(await site.sessions.list({ user: "ada" })).toHaveLength(living);
  });
});
