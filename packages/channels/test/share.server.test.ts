import { memoryPubSub } from "@lanai/pubsub";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { startSite } from "./site.ts";
import type { StormPage } from "./storm/page.ts";
import { bundlePage } from "./storm/stage.ts";

declare const storm: StormPage;

let chromium: Browser;
let script: string;

beforeAll(async () => {
  chromium = await startChromium();
  script = await bundlePage();
});
afterAll(() => chromium?.close());

test("three tabs share one connection, and go on when the tab that holds it is frozen or closes", async () => {
  const backend = memoryPubSub();
  await backend.ensureStream({ name: "channels", subjects: ["channels.>"] });
  await using site = await startSite(backend, { script });
  const context = await chromium.newContext();
  const open = async (): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`${site.url}/page`);
    await page.evaluate(() => storm.start("share", "x"));
    await page.waitForFunction(() => storm.lives[0]?.state === "joined");
    return page;
  };
  let published = 0;
  const publish = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      published += 1;
      await site.bus.publish("channels.room.storm", { e: "said", d: published });
    }
  };
  const show = async (pages: readonly Page[]): Promise<void> => {
    for (const page of pages) {
      await page.waitForFunction((n) => storm.lives[0]?.shown.at(-1) === n, published);
      const shown = await page.evaluate(() => storm.lives[0]?.shown ?? []);
      const first = Number(shown[0]);
      expect(shown).toEqual(Array.from({ length: shown.length }, (_, i) => first + i));
    }
  };
  const connections = (): number => site.clients.presence({ user: "ada" }).listeners;

  await context.request.get(`${site.url}/sign-in?user=ada`);
  const one = await open();
  const other = await open();
  const third = await open();
  // The line of the connection itself, and one for each tab.
  expect(site.channels.size.listeners).toBe(4);
  expect(connections()).toBe(1);
  await publish(5);
  await show([one, other, third]);

  // The first tab holds it.
  const cdp = await context.newCDPSession(one);
  await cdp.send("Page.setWebLifecycleState", { state: "frozen" });
  await publish(5);
  await show([other, third]);
  await cdp.send("Page.setWebLifecycleState", { state: "active" });
  await show([one]);
  await expect.poll(connections).toBe(1);

  for (const left of [[one, other], [one]]) {
    const gone = [one, other, third].find((it) => !left.includes(it) && !it.isClosed());
    await gone?.close();
    await publish(5);
    await show(left);
  }
  await expect.poll(connections).toBe(1);
  await context.close();
});
