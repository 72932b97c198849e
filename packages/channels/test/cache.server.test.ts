import { memoryPubSub } from "@lanai/pubsub";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { startSite } from "./site.ts";
import type { Mode, StormPage } from "./storm/page.ts";
import { bundlePage } from "./storm/stage.ts";

declare const storm: StormPage;

let chromium: Browser;
let script: string;

beforeAll(async () => {
  chromium = await startChromium({ backForwardCache: true });
  script = await bundlePage();
});
afterAll(() => chromium?.close());

test.each<Mode>(["plain", "fallback", "share"])(
  "B1: a page that comes back out of the back/forward cache shows what it has missed, once and in order (%s)",
  async (mode) => {
    const backend = memoryPubSub();
    await backend.ensureStream({ name: "channels", subjects: ["channels.>"] });
    await using site = await startSite(backend, { script });
    const context = await chromium.newContext();
    await context.request.get(`${site.url}/sign-in?user=ada`);
    let published = 0;
    const publish = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        published += 1;
        await site.bus.publish("channels.room.storm", { e: "said", d: published });
      }
    };
    const page = await context.newPage();
    await page.goto(`${site.url}/page`);
    await page.evaluate((it) => storm.start(it, "x"), mode);
    await page.waitForFunction(() => storm.lives[0]?.state === "joined");
    await publish(3);
    await page.waitForFunction(() => storm.lives[0]?.shown.at(-1) === 3);
    await page.goto(`${site.url}/other`);
    // In the cache a page has no connection.
    await expect.poll(() => site.channels.size.listeners).toBe(0);
    await publish(3);
    await page.evaluate("history.back()");
    const restored = () => page.evaluate(() => storm.restored).catch(() => undefined);
    await expect.poll(restored).toBe(1);
    await publish(3);
    const shown = () => page.evaluate(() => storm.lives[0]?.shown);
    await expect.poll(shown).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await context.close();
  },
);
