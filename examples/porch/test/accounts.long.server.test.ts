import type { Locator, Page } from "playwright-core";
import { expect, test } from "vitest";
import { eachTest } from "./each-test.ts";
import { signIn, startSite } from "./site.ts";
import { visitorsOf } from "./visitor.ts";

const site = eachTest(startSite);
const newVisitor = visitorsOf(site);

test("a page with an open tab is confirmed before the account is deleted, in every browser", async () => {
  await using visitor = await newVisitor();
  await using other = await newVisitor();
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
  await using visitor = await newVisitor();
  await signIn(visitor.page, "ada");
  await visitor.page.goto("/devices");
  const devices = visitor.page.locator(".device");
  await devices.getByText("Connected now").waitFor();
  const label = visitor.page.getByLabel("Name of this device");
  await label.pressSequentially("Kit");
  const other = await newVisitor();
  await signIn(other.page, "ada");
  await devices.getByText("Connected now").nth(1).waitFor();
  // Whoever is typing a name meanwhile goes on.
  await visitor.page.keyboard.type("chen");
  expect(await label.inputValue()).toBe("Kitchen");
  await other.context.close();
  await expect.poll(() => devices.getByText("Connected now").count()).toBe(1);
  expect(await devices.count()).toBe(2);
});

const OTHER = ".device:not(:has(.device-current))";
/** The buttons of the devices page that end another browser. */
const endings: [which: string, button: (page: Page) => Locator][] = [
  ["the others", (page) => page.getByRole("button", { name: "Sign out all other devices" })],
  ["one", (page) => page.locator(OTHER).getByRole("button", { name: "Sign out" })],
  ["all", (page) => page.getByRole("button", { name: "Sign out everywhere" })],
];

test.each(endings)(
  "a browser that is ended from the devices page (%s) leaves at once, and says why",
  async (which, button) => {
    await using visitor = await newVisitor();
    const { page } = visitor;
    await using other = await newVisitor();
    const theirs = other.page;
    await signIn(page, "ada");
    await signIn(theirs, "ada");
    await page.goto("/devices");
    await page.getByRole("heading", { name: "Chrome on Linux" }).nth(1).waitFor();
    await button(page).click();
    await theirs.waitForURL("**/sign-in?ended");
    await theirs.getByText("was signed out from another tab or browser").waitFor();
    await page.waitForURL(which === "all" ? "**/sign-in?ended" : "**/devices");
  },
);

test("an admin acts for a user, leaves the account alone, and comes back", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  const act = async () => {
    await page.getByLabel("Act for a user").fill("ada");
    await page.getByRole("button", { name: "Act for them" }).click();
    await page.getByRole("button", { name: "Stop acting for ada" }).waitFor();
  };
  await signIn(page, "admin");
  await act();
  await page.getByRole("heading", { name: "Hello, ada" }).waitFor();
  await page.getByText("admin acts for ada").waitFor();
  await page.getByRole("link", { name: "Delete the account" }).click();
  await page.getByText("Your session may not do this").waitFor();
  await page.goto("/home");
  await page.getByRole("button", { name: "Stop acting for ada" }).click();
  await page.getByText("You are yourself again").waitFor();
  await page.getByRole("heading", { name: "Hello, admin" }).waitFor();

  // The user sees it in the list of devices, and ends it: the admin's tab leaves at once.
  await act();
  await using user = await newVisitor();
  await signIn(user.page, "ada");
  await user.page.goto("/devices");
  const acting = user.page.locator(".device", { hasText: "An administrator acts for you" });
  await acting.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/sign-in?ended");
  await acting.waitFor({ state: "detached" });
});
