import { beforeEach, expect, test } from "vitest";
import { expectRedirect, type StartedApp, startApp } from "./app.ts";
import { Browser } from "./browser.ts";

let site: StartedApp;
let browser: Browser;
let url: string;

beforeEach(async () => {
  site = await startApp();
  ({ browser, url } = site);
  return () => site.stop();
});

const expectNotAllowed = async (response: Response) => {
  expect(response.status).toBe(403);
  const page = await response.text();
  expect(page).toContain("Your session may not do this");
  expect(page).not.toContain("another site");
};

test("an admin acts for a user, can't delete the account, and comes back; nobody else can", async () => {
  await browser.signIn("admin");
  expectRedirect(await browser.post("/acting", { for: "ada" }), 303, "/home");
  const page = await browser.page("/home");
  expect(page).toContain('<span class="user">ada</span>');
  expect(page).toContain("<strong>admin</strong> acts for ada");
  await expectNotAllowed(await browser.post("/account/delete"));
  await expectNotAllowed(await browser.get("/account/delete"));
  expectRedirect(await browser.post("/acting/stop"), 303, "/home");
  expect(await browser.page("/home")).toContain('<span class="user">admin</span>');

  const other = new Browser(url);
  await other.signIn("bob");
  await expectNotAllowed(await other.post("/acting", { for: "ada" }));
  expect(await other.page("/home")).toContain('<span class="user">bob</span>');
});
