import type { Page, Response } from "playwright-core";
import { expect, test } from "vitest";
import { eachTest } from "./each-test.ts";
import { signIn, startSite } from "./site.ts";
import { violations, visitorsOf } from "./visitor.ts";

const site = eachTest(startSite);
const newVisitor = visitorsOf(site);

const MINUTE = 60_000;

/** Where the screenshots of all pages go; none are taken if it isn't set. */
const { SCREENS } = process.env;

const wrongPassword = async (page: Page) => {
  if (!page.url().includes("/sign-in")) await page.goto("/sign-in");
  await page.getByLabel("Name").fill("eve");
  await page.getByLabel("Password").fill("guess");
  await page.locator("main").getByRole("button", { name: "Sign in" }).click();
};

/** How a visitor comes to each page, in this order: its name, its status, and the way. */
const pages: [name: string, status: number, go: (page: Page) => Promise<unknown>][] = [
  ["first page", 200, (page) => page.goto("/")],
  ["sign-in", 200, (page) => page.goto("/home")],
  ["sign-in, ended", 200, (page) => page.goto("/sign-in?ended")],
  ["wrong password", 422, wrongPassword],
  [
    "400",
    400,
    async (page) => {
      await page.goto("/sign-in");
      await page.getByLabel("Name").fill("\u200Bada");
      await page.getByLabel("Password").fill("aloha");
      await page.locator("main").getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("heading", { name: "That can’t be" }).waitFor();
    },
  ],
  ["401", 401, (page) => page.goto("/me")],
  [
    "403",
    403,
    async (page) => {
      // A page that is not of this site.
      await page.goto("about:blank");
      await page.evaluate((url) => {
        const form = Object.assign(document.createElement("form"), { method: "post", action: url });
        document.body.append(form);
        form.submit();
      }, `${site.url}/sign-out`);
      await page.waitForURL(`${site.url}/sign-out`);
    },
  ],
  ["404", 404, (page) => page.goto("/no-such-page")],
  ["405", 405, (page) => page.goto("/sign-out")],
  [
    "413",
    413,
    async (page) => {
      await page.goto("/sign-in");
      await page.locator("#name").evaluate((field) => field.removeAttribute("maxlength"));
      await page.getByLabel("Name").fill("a".repeat(9_000));
      await page.getByLabel("Password").fill("aloha");
      await page.locator("main").getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("heading", { name: "Too long" }).waitFor();
    },
  ],
  [
    "415",
    415,
    async (page) => {
      await page.goto("/sign-in");
      await page
        .locator("form.card")
        .evaluate((form) => form.setAttribute("enctype", "multipart/form-data"));
      await wrongPassword(page);
      await page.getByRole("heading", { name: "Not a form" }).waitFor();
    },
  ],
  [
    "429",
    429,
    async (page) => {
      await page.goto("/sign-in");
      for (let i = 0; i < 4; i++) await wrongPassword(page);
      await wrongPassword(page);
      await page.getByRole("heading", { name: "Slow down" }).waitFor();
    },
  ],
  ["500", 500, (page) => page.goto("/fails")],
  ["503", 503, (page) => page.goto("/unreachable")],
  ["home", 200, (page) => signIn(page, "ada")],
  ["rooms", 200, (page) => page.goto("/rooms")],
  [
    "room",
    200,
    async (page) => {
      await page.goto("/rooms/lobby");
      for (const text of ["Aloha!", "Is anybody here who has seen the new house?"]) {
        await page.getByLabel("Message", { exact: true }).fill(text);
        await page.getByRole("button", { name: "Send" }).click();
      }
      await page.locator(".posts li:not(.waiting)").nth(1).waitFor();
      await page.locator("[data-here]", { hasText: "ada" }).waitFor();
    },
  ],
  ["devices", 200, (page) => page.goto("/devices")],
  ["delete", 200, (page) => page.goto("/account/delete")],
  [
    "confirm",
    200,
    (page) => {
      site.advance(2 * MINUTE);
      return page.goto("/account/delete");
    },
  ],
  [
    "confirm, wrong password",
    422,
    async (page) => {
      await page.getByLabel("Password").fill("guess");
      await page.getByRole("button", { name: "Confirm" }).click();
      await page.getByText("That is not the password").waitFor();
    },
  ],
  ["both-survive", 200, (page) => page.goto("/demos/both-survive")],
  ["sign-out", 200, (page) => page.goto("/demos/sign-out")],
  ["said-once", 200, (page) => page.goto("/demos/said-once")],
  ["miss-nothing", 200, (page) => page.goto("/demos/miss-nothing")],
  [
    "home of an admin",
    200,
    async (page) => {
      await page.goto("/home");
      await page.locator("header").getByRole("button", { name: "Sign out" }).click();
      await page.waitForURL("**/sign-in");
      await signIn(page, "admin");
      await page.getByLabel("Act for a user").waitFor();
    },
  ],
  [
    "home while an admin acts",
    200,
    async (page) => {
      await page.getByLabel("Act for a user").fill("ada");
      await page.getByRole("button", { name: "Act for them" }).click();
      await page.getByRole("button", { name: "Stop acting for ada" }).waitFor();
    },
  ],
];

/** One of each layout; all are in the long form, which `npm run test:examples` runs. */
const SHORT = ["first page", "home", "room"];
const seen = process.env.LONG ? pages : pages.filter(([name]) => SHORT.includes(name));

/** Pixels of the page that don't fit into the window's width. */
const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

test("no page has a violation that axe-core finds, light and dark, or anything that is cut", async () => {
  await using visitor = await newVisitor();
  const { page, complaints } = visitor;
  for (const [name, status, go] of seen) {
    const isAnswer = (it: Response) =>
      it.frame() === page.mainFrame() &&
      it.request().isNavigationRequest() &&
      it.status() === status;
    await Promise.all([page.waitForResponse(isAnswer), go(page)]);
    await page.waitForLoadState("load");
    for (const frame of page.frames()) expect(await violations(frame), name).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    for (const frame of page.frames())
      expect(await violations(frame, ["color-contrast"]), `${name}, dark`).toEqual([]);
    if (SCREENS) await page.screenshot({ path: `${SCREENS}/dark-${name}.png`, fullPage: true });
    await page.emulateMedia({ colorScheme: "light" });
    if (SCREENS) await page.screenshot({ path: `${SCREENS}/light-${name}.png`, fullPage: true });
    const desk = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await overflow(page), `${name}, phone`).toBe(0);
    if (SCREENS) await page.screenshot({ path: `${SCREENS}/phone-${name}.png`, fullPage: true });
    if (desk) await page.setViewportSize(desk);
  }
  // The browser names each status that is a failure, and a page that is left by a sign-out the end of
  // its session; nothing else, such as a broken policy.
  const expected = /status of [45]\d\d|the session has ended/;
  expect(complaints.filter((it) => !expected.test(it))).toEqual([]);
});
