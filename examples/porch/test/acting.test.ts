import { expect, test } from "vitest";
import { expectRedirect, startApp } from "./app.ts";
import { Browser } from "./browser.ts";
import { eachTest } from "./each-test.ts";

const site = eachTest(startApp);

const expectNotAllowed = async (response: Response) => {
  expect(response.status).toBe(403);
  const page = await response.text();
  expect(page).toContain("Your session may not do this");
  expect(page).not.toContain("another site");
};

test("an admin acts for a user, can't delete the account, and comes back; nobody else can", async () => {
  await site.browser.signIn("admin");
  expectRedirect(await site.browser.post("/acting", { for: "ada" }), 303, "/home");
  const page = await site.browser.page("/home");
  expect(page).toContain('<span class="user">ada</span>');
  expect(page).toContain("<strong>admin</strong> acts for ada");
  await expectNotAllowed(await site.browser.post("/account/delete"));
  await expectNotAllowed(await site.browser.get("/account/delete"));
  expectRedirect(await site.browser.post("/acting/stop"), 303, "/home");
  expect(await site.browser.page("/home")).toContain('<span class="user">admin</span>');

  const other = new Browser(site.url);
  await other.signIn("bob");
  await expectNotAllowed(await other.post("/acting", { for: "ada" }));
  expect(await other.page("/home")).toContain('<span class="user">bob</span>');
});
