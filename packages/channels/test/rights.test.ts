import { memoryPubSub } from "@lanai/pubsub";
import { expect, test } from "vitest";
import { rawPage } from "./page.ts";
import { newDesk, startSite } from "./site.ts";

const REVALIDATE_INTERVAL = 100;

test("a check of rights that takes longer than revalidateInterval is not begun beside itself", async () => {
  const desk = newDesk();
  await using site = await startSite(memoryPubSub(), {
    ...{ desk, channels: { revalidateInterval: REVALIDATE_INTERVAL } },
  });
  using page = await rawPage(site.port, await site.visit("/sign-in?user=ada"));
  page.send({ t: "join", p: "room.:id", a: { id: "a" } });
  await page.receives({ t: "joined" });
  let checks = 0;
  const { promise: isKnown, resolve } = Promise.withResolvers<boolean>();
  desk.allow = () => {
    checks += 1;
    return isKnown;
  };
  await expect.poll(() => checks).toBe(1);
  // As often as this timer, that of the site has fired meanwhile.
  let turns = 0;
  const timer = setInterval(() => (turns += 1), REVALIDATE_INTERVAL);
  await expect.poll(() => turns).toBeGreaterThan(5);
  clearInterval(timer);
  expect(checks).toBe(1);
  resolve(false);
  await page.receives({ t: "left", code: "ERR_REFUSED" });
});
