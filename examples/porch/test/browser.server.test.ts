import type { Duplex } from "node:stream";
import type { Browser, BrowserContext, FrameLocator, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { signIn, startSite } from "./site.ts";

let chromium: Browser;
let url: string;
let context: BrowserContext;
let sockets: Set<Duplex>;
let page: Page;

beforeAll(async () => {
  chromium = await startChromium();
});
afterAll(() => chromium?.close());

beforeEach(async () => {
  const site = await startSite();
  ({ url, sockets } = site);
  context = await newContext();
  page = await context.newPage();
  return async () => {
    await context.close();
    await site.stop();
  };
});

const newContext = async (options = {}): Promise<BrowserContext> => {
  const made = await chromium.newContext({ baseURL: url, ...options });
  made.setDefaultTimeout(60_000);
  return made;
};

const pane = (name: "a" | "b", tab = page): FrameLocator =>
  tab.frameLocator(`iframe[title="Tab ${name}"]`);

test("of two tabs that write at once both survive, and a naive session loses one", async () => {
  await page.goto("/");
  await page.getByRole("link", { name: "Two tabs write, both survive" }).click();
  await page.getByRole("button", { name: "Write in both tabs" }).click();
  for (const name of ["a", "b"] as const) {
    const notes = pane(name).locator("ol.write li");
    await notes.nth(1).waitFor();
    expect((await notes.allTextContents()).sort()).toEqual(["From tab a", "From tab b"]);
  }
  await page.getByRole("button", { name: "naive" }).click();
  for (const name of ["a", "b"] as const) await pane(name).locator("ol.naive li").first().waitFor();
  await page.reload();
  await pane("a").locator("ol.naive li").first().waitFor();
  expect(await pane("a").locator("ol.naive li").count()).toBe(1);
});

test("a sign-out in one tab ends the other", async () => {
  await page.goto("/demos/sign-out");
  await page.getByRole("button", { name: "Sign in as a guest" }).click();
  await pane("b").getByText("Signed in as").waitFor();
  await pane("a").getByRole("button", { name: "Sign out" }).click();
  await pane("b").getByText("Signed out in another tab.").waitFor();
});

/** Both panes of a page are loaded, and one of them shows the message. */
const expectSaidOnce = (tab: Page): Promise<void> => {
  const texts = (["a", "b"] as const).map((name) => pane(name, tab).locator("main p"));
  return expect
    .poll(async () => (await Promise.all(texts.map((it) => it.allTextContents()))).sort())
    .toEqual([["No message for this tab."], ["Your order is on its way"]]);
};

test("of two tabs that ask at once, one shows the message", async () => {
  await page.goto("/demos/said-once");
  await page.getByRole("button", { name: "Leave a message" }).click();
  await expectSaidOnce(page);
});

test("a tab in a channel misses nothing while its connection is lost, and one that is sent to does", async () => {
  await page.goto("/demos/miss-nothing");
  const messages = pane("a").locator("ol li");
  for (const name of ["a", "b"] as const) await pane(name).locator("ol.online").waitFor();
  await page.getByRole("button", { name: "Publish one" }).click();
  for (const name of ["a", "b"] as const) await pane(name).getByText("Message 1").waitFor();
  const button = page.getByRole("button", { name: "Cut" });
  await button.click();
  await messages.nth(5).waitFor();
  const numbers = Array.from({ length: 6 }, (_, i) => `Message ${i + 1}`);
  expect(await messages.allTextContents()).toEqual(numbers);
  await pane("b").locator("ol.online").waitFor();
  expect(await pane("b").locator("ol li").allTextContents()).toEqual(["Message 1"]);
});

test("a message in a room reaches another browser once, with who is here and who types", async () => {
  const other = await newContext();
  const theirs = await other.newPage();
  await signIn(page, "ada");
  await signIn(theirs, "bob");
  const second = await context.newPage();
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
  await other.close();
});

test("messages written offline arrive once, and those missed meanwhile arrive too", async () => {
  const other = await newContext();
  const theirs = await other.newPage();
  await signIn(page, "ada");
  await signIn(theirs, "bob");
  await page.goto("/rooms/beach");
  await theirs.goto("/rooms/beach");
  const say = async (tab: Page, text: string) => {
    await tab.getByLabel("Message", { exact: true }).fill(text);
    await tab.getByRole("button", { name: "Send" }).click();
  };
  await theirs.getByText("ada, bob").waitFor();
  await context.setOffline(true);
  for (const socket of sockets) socket.destroy();
  await say(page, "From offline");
  await page.getByText("1 to be sent").waitFor();
  await say(theirs, "Meanwhile");
  await theirs.locator(".posts li:not(.waiting)", { hasText: "Meanwhile" }).waitFor();
  await context.setOffline(false);
  for (const tab of [page, theirs]) {
    await tab.locator(".posts li:not(.waiting)").nth(1).waitFor();
    expect(await tab.locator(".posts li p").allTextContents()).toEqual([
      "Meanwhile",
      "From offline",
    ]);
  }
  await other.close();
});

const OTHER = ".device:not(:has(.device-current))";
/** The buttons of the devices page that end another browser. */
const endings: [which: string, button: () => Locator][] = [
  ["the others", () => page.getByRole("button", { name: "Sign out all other devices" })],
  ["one", () => page.locator(OTHER).getByRole("button", { name: "Sign out" })],
  ["all", () => page.getByRole("button", { name: "Sign out everywhere" })],
];

test.each(process.env.LONG ? endings : endings.slice(0, 1))(
  "a browser that is ended from the devices page (%s) leaves at once, and says why",
  async (which, button) => {
    const other = await newContext();
    const theirs = await other.newPage();
    await signIn(page, "ada");
    await signIn(theirs, "ada");
    await page.goto("/devices");
    await page.getByRole("heading", { name: "Chrome on Linux" }).nth(1).waitFor();
    await button().click();
    await theirs.waitForURL("**/sign-in?ended");
    await theirs.getByText("was signed out from another tab or browser").waitFor();
    await page.waitForURL(which === "all" ? "**/sign-in?ended" : "**/devices");
    await other.close();
  },
);

test("without JavaScript the rooms are read and written", async () => {
  const plain = await newContext({ javaScriptEnabled: false });
  const tab = await plain.newPage();
  await signIn(tab, "ada");
  await tab.goto("/rooms/garden");
  await tab.getByLabel("Message", { exact: true }).fill("No script here");
  await tab.getByRole("button", { name: "Send" }).click();
  await tab.locator(".posts").getByText("No script here").waitFor();
  await tab.goto("/demos/said-once");
  await tab.getByRole("button", { name: "Leave a message" }).click();
  await expectSaidOnce(tab);
  await plain.close();
});
