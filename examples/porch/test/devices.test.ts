import { describe, expect, test } from "vitest";
import { expectRedirect, publicIdOf, startApp } from "./app.ts";
import { Browser } from "./browser.ts";
import { eachTest } from "./each-test.ts";

const site = eachTest(startApp);

const isSignedIn = async (whose: Browser) => (await whose.get("/home")).status === 200;

describe("the list of devices", () => {
  test("shows the user's sessions, and nobody else's", async () => {
    const [phone, other] = [new Browser(site.url), new Browser(site.url)];
    await site.browser.signIn("ada");
    await phone.signIn("ada");
    await other.signIn("bob");

    const page = await site.browser.page("/devices");
    expect(page.match(/This device/g)).toHaveLength(1);
    expect(page.match(/class="device"/g)).toHaveLength(2);
    expect(page).toContain(`value="${await publicIdOf(phone)}"`);
    expect(page).not.toContain(await publicIdOf(other));
  });

  test("names each of them", async () => {
    const phone = new Browser(site.url);
    await site.browser.signIn("ada");
    await phone.signIn("ada");
    const device = await publicIdOf(phone);
    await site.browser.post("/devices/label", { device, label: "The phone <b>" });
    expect(await site.browser.page("/devices")).toContain("<h2>The phone &lt;b&gt;</h2>");
  });

  test("ends one other session, and none of another user", async () => {
    const [phone, other] = [new Browser(site.url), new Browser(site.url)];
    await site.browser.signIn("ada");
    await phone.signIn("ada");
    await other.signIn("bob");
    for (const whose of [phone, other]) {
      const device = await publicIdOf(whose);
      expectRedirect(await site.browser.post("/devices/end", { device }), 303, "/devices");
    }
    expect(await isSignedIn(phone)).toBe(false);
    expect(await isSignedIn(other)).toBe(true);
  });

  test("ends all sessions but this one", async () => {
    const others = [new Browser(site.url), new Browser(site.url)];
    await site.browser.signIn("ada");
    for (const other of others) await other.signIn("ada");
    expectRedirect(await site.browser.post("/devices/end-others"), 303, "/devices");
    for (const other of others) expect(await isSignedIn(other)).toBe(false);
    expect(await isSignedIn(site.browser)).toBe(true);
  });

  test("ends all sessions, this one too", async () => {
    const phone = new Browser(site.url);
    await site.browser.signIn("ada");
    await phone.signIn("ada");
    expectRedirect(await site.browser.post("/devices/end-all"), 303, "/sign-in?ended");
    for (const each of [site.browser, phone])
      expectRedirect(await each.get("/home"), 302, "/sign-in");
  });

  test("asks whose sign-in is old for the password, and comes back", async () => {
    const phone = new Browser(site.url);
    await site.browser.signIn("ada");
    await phone.signIn("ada");
    site.advance(11 * 60_000);
    await site.browser.get("/home");
    const confirm = "/confirm?to=%2Fdevices";
    expectRedirect(await site.browser.post("/devices/end-others"), 302, confirm);
    expect(await isSignedIn(phone)).toBe(true);
    expectRedirect(await site.browser.post(confirm, { password: "aloha" }), 303, "/devices");
    await site.browser.post("/devices/end-others");
    expect(await isSignedIn(phone)).toBe(false);
  });
});
