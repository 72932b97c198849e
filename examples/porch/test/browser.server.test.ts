import type { FrameLocator, Page } from "playwright-core";
import { expect, test } from "vitest";
import { eachTest } from "./each-test.ts";
import { signIn, startSite } from "./site.ts";
import { visitorsOf } from "./visitor.ts";

const site = eachTest(startSite);
const newVisitor = visitorsOf(site);

const pane = (tab: Page, name: "a" | "b"): FrameLocator =>
  tab.frameLocator(`iframe[title="Tab ${name}"]`);

test("of two tabs that write at once both survive, and a naive session loses one", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  await page.goto("/");
  await page.getByRole("link", { name: "Two tabs write, both survive" }).click();
  await page.getByRole("button", { name: "Write in both tabs" }).click();
  for (const name of ["a", "b"] as const) {
    const notes = pane(page, name).locator("ol.write li");
    await notes.nth(1).waitFor();
    expect((await notes.allTextContents()).sort()).toEqual(["From tab a", "From tab b"]);
  }
  await page.getByRole("button", { name: "naive" }).click();
  for (const name of ["a", "b"] as const)
    await pane(page, name).locator("ol.naive li").first().waitFor();
  await page.reload();
  await pane(page, "a").locator("ol.naive li").first().waitFor();
  expect(await pane(page, "a").locator("ol.naive li").count()).toBe(1);
});

test("a sign-out in one tab ends the other", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  await page.goto("/demos/sign-out");
  await page.getByRole("button", { name: "Sign in as a guest" }).click();
  await pane(page, "b").getByText("Signed in as").waitFor();
  await pane(page, "a").getByRole("button", { name: "Sign out" }).click();
  await pane(page, "b").getByText("Signed out in another tab.").waitFor();
});

test("of two tabs that ask at once, one shows the message", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  await page.goto("/demos/said-once");
  await page.getByRole("button", { name: "Leave a message" }).click();
  // Both panes are loaded, and one of them shows the message.
  const texts = (["a", "b"] as const).map((name) => pane(page, name).locator("main p"));
  await expect
    .poll(async () => (await Promise.all(texts.map((it) => it.allTextContents()))).sort())
    .toEqual([["No message for this tab."], ["Your order is on its way"]]);
});

test("a tab in a channel misses nothing while its connection is lost, and one that is sent to does", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  await page.goto("/demos/miss-nothing");
  const messages = pane(page, "a").locator("ol li");
  for (const name of ["a", "b"] as const) await pane(page, name).locator("ol.online").waitFor();
  await page.getByRole("button", { name: "Publish one" }).click();
  for (const name of ["a", "b"] as const) await pane(page, name).getByText("Message 1").waitFor();
  const button = page.getByRole("button", { name: "Cut" });
  await button.click();
  await messages.nth(5).waitFor();
  const numbers = Array.from({ length: 6 }, (_, i) => `Message ${i + 1}`);
  expect(await messages.allTextContents()).toEqual(numbers);
  await pane(page, "b").locator("ol.online").waitFor();
  expect(await pane(page, "b").locator("ol li").allTextContents()).toEqual(["Message 1"]);
});

test("a message in a room reaches another browser once, with who is here and who types", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  await using other = await newVisitor();
  const theirs = other.page;
  await signIn(page, "ada");
  await signIn(theirs, "bob");
  const second = await visitor.context.newPage();
  for (const tab of [page, second]) {
    await tab.goto("/rooms/lobby");
    await tab.locator("[data-here]", { hasText: "ada" }).waitFor();
  }
  await theirs.goto("/rooms/lobby");
  // People, not tabs.
  await page.getByText("ada, bob", { exact: true }).waitFor();
  await second.close();
  await theirs.getByLabel("Message", { exact: true }).pressSequentially("Aloha");
  await page.getByText("bob is typing").waitFor();
  await theirs.getByRole("button", { name: "Send" }).click();
  await page.getByText("Aloha", { exact: true }).waitFor();
  expect(await page.locator(".posts li").count()).toBe(1);
  await page.goto("/rooms");
  await theirs.getByLabel("Message", { exact: true }).fill("Again");
  await theirs.getByRole("button", { name: "Send" }).click();
  await theirs.locator(".posts li:not(.waiting)", { hasText: "Again" }).waitFor();
  await page.reload();
  await page.getByText("1 unread").waitFor();
});
