// Takes the pictures of the root README from the showcase as it runs: `npm run pictures`.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { animate, type Frame } from "../../../scripts/apng.ts";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { signIn, startSite } from "./site.ts";

const site = await startSite();
const chromium = await startChromium();
const keep = (name: string, png: Buffer): void =>
  writeFileSync(join(import.meta.dirname, "../../../docs/images", `${name}.png`), png);
const visit = async (options = {}): Promise<Page> => {
  const viewport = { width: 1100, height: 720 };
  const context = await chromium.newContext({ baseURL: site.url, viewport, ...options });
  return context.newPage();
};
const pane = (page: Page, name: "a" | "b") => page.frameLocator(`iframe[src$="/${name}"]`);

const page = await visit();
await page.goto("/");
keep("first-page", await page.screenshot({ fullPage: true }));

await page.goto("/demos/both-survive");
await page.getByRole("button", { name: "Write in both tabs" }).click();
await pane(page, "a").locator("ol.write li").nth(1).waitFor();
await page.getByRole("button", { name: "naive" }).click();
for (const name of ["a", "b"] as const)
  await pane(page, name).locator("ol.naive li").first().waitFor();
keep("both-survive", await page.screenshot());

// The animation: what happens is what the page shows at these moments.
await page.goto("/demos/miss-nothing");
const frames: Frame[] = [];
const take = async (duration: number) => frames.push({ png: await page.screenshot(), duration });
for (const name of ["a", "b"] as const) await pane(page, name).locator("ol.online").waitFor();
await take(1_500);
await page.getByRole("button", { name: "Publish one" }).click();
for (const name of ["a", "b"] as const) await pane(page, name).getByText("Message 1").waitFor();
await take(1_500);
await page.getByRole("button", { name: "Cut" }).click();
for (const name of ["a", "b"] as const) await pane(page, name).locator("ol.offline").waitFor();
await take(2_000);
await pane(page, "a").getByText("Message 6").waitFor();
await pane(page, "b").locator("ol.online").waitFor();
await take(3_500);
keep("miss-nothing", animate(frames));

const [ada, bob] = [await visit({ colorScheme: "dark" }), await visit()];
await signIn(ada, "ada");
await signIn(bob, "bob");
for (const tab of [ada, bob]) {
  await tab.goto("/rooms/lobby");
  await tab.locator("[data-here]", { hasText: tab === ada ? "ada" : "ada, bob" }).waitFor();
}
for (const [tab, text] of [
  [bob, "Aloha! My train goes through a tunnel now."],
  [ada, "Then write anyway: it is sent when you are back."],
  [bob, "And what you say meanwhile?"],
  [ada, "Arrives too, once, and in order."],
] as const) {
  await tab.getByLabel("Message", { exact: true }).fill(text);
  await tab.getByRole("button", { name: "Send" }).click();
  await ada.locator(".posts li:not(.waiting)", { hasText: text }).waitFor();
}
await bob.getByLabel("Message", { exact: true }).pressSequentially("I see", { delay: 400 });
await ada.getByText("bob is typing").waitFor();
keep("room", await ada.screenshot());

const phone = await visit({ viewport: { width: 1100, height: 720 } });
await signIn(phone, "ada");
await phone.goto("/devices");
await phone.locator(".device").nth(1).waitFor();
keep("devices", await phone.screenshot());

await chromium.close();
await site.stop();
process.exit();
