import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { signIn, startSite } from "./site.ts";
import { newVisitor } from "./visitor.ts";

let chromium: Browser;
let site: Awaited<ReturnType<typeof startSite>>;
const newPage = (options = {}) => newVisitor(chromium, site.url, options);

beforeAll(async () => {
  chromium = await startChromium();
});
afterAll(() => chromium?.close());
beforeEach(async () => {
  site = await startSite();
  return () => site.stop();
});

test("times are in the reader's zone", async () => {
  const hours: string[] = [];
  for (const timezoneId of ["Pacific/Honolulu", "Asia/Kolkata"]) {
    await using visitor = await newPage({ timezoneId, locale: "en-GB" });
    await signIn(visitor.page, "ada");
    const time = visitor.page.locator("time").first();
    await expect.poll(() => time.textContent()).not.toContain("UTC");
    const at = await time.getAttribute("datetime");
    const options = { timeZone: timezoneId, timeStyle: "short" } as const;
    const expected = new Intl.DateTimeFormat("en-GB", options).format(new Date(at ?? ""));
    expect(await time.textContent()).toContain(expected);
    hours.push(expected);
  }
  expect(hours[0]).not.toBe(hours[1]);
});

test("nothing moves for a reader who asked for reduced motion", async () => {
  await using visitor = await newPage({ reducedMotion: "reduce" });
  const { page } = visitor;
  const expectStill = async (path: string) => {
    await page.goto(path);
    for (const frame of page.frames()) {
      const moving = await frame.evaluate(
        () =>
          [...document.querySelectorAll("*")].filter((it) => {
            const { transitionDuration, animationName } = getComputedStyle(it);
            return !/^0s(, 0s)*$/.test(transitionDuration) || animationName !== "none";
          }).length,
      );
      expect(moving, path).toBe(0);
    }
  };
  for (const path of ["/", "/no-such-page", "/sign-in", "/demos/both-survive"])
    await expectStill(path);
  await signIn(page, "ada");
  for (const path of ["/home", "/rooms", "/rooms/lobby", "/devices", "/account/delete"])
    await expectStill(path);
});

test("a page with an open tab is confirmed before the account is deleted, in every browser", async () => {
  await using visitor = await newPage();
  await using other = await newPage();
  await signIn(visitor.page, "ada");
  await signIn(other.page, "ada");
  site.advance(120_000);
  const { page } = visitor;
  await page.getByRole("link", { name: "Delete the account" }).click();
  await page.getByRole("heading", { name: "Confirm it’s you" }).waitFor();
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByText("That is not the password").waitFor();
  await page.getByLabel("Password").fill("aloha");
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.waitForURL("**/account/delete");
  await page.getByRole("button", { name: "Delete the account" }).click();
  await page.getByText("The account of ada is deleted").waitFor();
  await other.page.waitForURL("**/sign-in?ended");
});

test("the list of devices follows a browser that signs in and closes its tab", async () => {
  await using visitor = await newPage();
  await signIn(visitor.page, "ada");
  await visitor.page.goto("/devices");
  const devices = visitor.page.locator(".device");
  await devices.getByText("Connected now").waitFor();
  const label = visitor.page.getByLabel("Name of this device");
  await label.pressSequentially("Kit");
  const other = await newPage();
  await signIn(other.page, "ada");
  await devices.getByText("Connected now").nth(1).waitFor();
  // Whoever is typing a name meanwhile goes on.
  await visitor.page.keyboard.type("chen");
  expect(await label.inputValue()).toBe("Kitchen");
  await other.context.close();
  await expect.poll(() => devices.getByText("Connected now").count()).toBe(1);
  expect(await devices.count()).toBe(2);
});

test("without a mouse one skips to the page, signs in, posts and ends a device", async () => {
  await using visitor = await newPage();
  await using other = await newPage();
  const { page } = visitor;
  const { keyboard } = page;
  const tabTo = async (selector: string) => {
    const isThere = () => page.locator(`${selector}:focus`).count();
    for (let i = 0; i < 30 && !(await isThere()); i++) await keyboard.press("Tab");
    expect(await isThere(), selector).toBe(1);
  };
  await page.goto("/");
  await keyboard.press("Tab");
  expect(await page.locator(".skip:focus").count()).toBe(1);
  await keyboard.press("Enter");
  await expect.poll(() => page.locator("main:focus").count()).toBe(1);

  await page.goto("/sign-in");
  await tabTo("#name");
  await keyboard.type("ada");
  await tabTo("#password");
  await keyboard.type("aloha");
  await keyboard.press("Enter");
  await page.waitForURL("**/home");
  await page.goto("/rooms/lobby");
  await page.locator("[data-here]", { hasText: "ada" }).waitFor();
  await tabTo("#text");
  await keyboard.type("By keys");
  await keyboard.press("Enter");
  await page.locator(".posts li:not(.waiting)", { hasText: "By keys" }).waitFor();

  await signIn(other.page, "ada");
  await page.goto("/devices");
  await tabTo(".device:not(:has(.device-current)) form[action$=end] button");
  await keyboard.press("Enter");
  await other.page.waitForURL("**/sign-in?ended");
});
