import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { eachTest } from "./each-test.ts";
import { signIn, startSite } from "./site.ts";
import { visitorsOf } from "./visitor.ts";

const site = eachTest(startSite);
const newVisitor = visitorsOf(site);

test("messages written offline arrive once, and those missed meanwhile arrive too", async () => {
  await using visitor = await newVisitor();
  const { page } = visitor;
  await using other = await newVisitor();
  const theirs = other.page;
  await signIn(page, "ada");
  await signIn(theirs, "bob");
  await page.goto("/rooms/beach");
  await theirs.goto("/rooms/beach");
  const say = async (tab: Page, text: string) => {
    await tab.getByLabel("Message", { exact: true }).fill(text);
    await tab.getByRole("button", { name: "Send" }).click();
  };
  await theirs.getByText("ada, bob").waitFor();
  await visitor.context.setOffline(true);
  for (const socket of site.sockets) socket.destroy();
  await say(page, "From offline");
  await page.getByText("1 to be sent").waitFor();
  await say(theirs, "Meanwhile");
  await theirs.locator(".posts li:not(.waiting)", { hasText: "Meanwhile" }).waitFor();
  await visitor.context.setOffline(false);
  for (const tab of [page, theirs]) {
    await tab.locator(".posts li:not(.waiting)").nth(1).waitFor();
    expect(await tab.locator(".posts li p").allTextContents()).toEqual([
      "Meanwhile",
      "From offline",
    ]);
  }
});

test("without JavaScript the rooms are read and written", async () => {
  await using plain = await newVisitor({ javaScriptEnabled: false });
  const tab = plain.page;
  await signIn(tab, "ada");
  await tab.goto("/rooms/garden");
  await tab.getByLabel("Message", { exact: true }).fill("No script here");
  await tab.getByRole("button", { name: "Send" }).click();
  await tab.locator(".posts").getByText("No script here").waitFor();
  await tab.goto("/demos/said-once");
  await tab.getByRole("button", { name: "Leave a message" }).click();
  // Whichever pane is loaded first shows the message, and the other none.
  const texts = ["a", "b"].map((name) =>
    tab.frameLocator(`iframe[title="Tab ${name}"]`).locator("main p"),
  );
  await expect
    .poll(async () => (await Promise.all(texts.map((it) => it.allTextContents()))).sort())
    .toEqual([["No message for this tab."], ["Your order is on its way"]]);
});
