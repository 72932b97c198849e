import { expect, test } from "vitest";
import { eachTest } from "./each-test.ts";
import { signIn, startSite } from "./site.ts";
import { visitorsOf } from "./visitor.ts";

const site = eachTest(startSite);
const newVisitor = visitorsOf(site);

test("times are in the reader's zone", async () => {
  const hours: string[] = [];
  for (const timezoneId of ["Pacific/Honolulu", "Asia/Kolkata"]) {
    await using visitor = await newVisitor({ timezoneId, locale: "en-GB" });
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
  await using visitor = await newVisitor({ reducedMotion: "reduce" });
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

test("without a mouse one skips to the page, signs in, posts and ends a device", async () => {
  await using visitor = await newVisitor();
  await using other = await newVisitor();
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
