import { memoryPubSub } from "@lanai/pubsub";
import { expect, test } from "vitest";
import { rawPage } from "./page.ts";
import { startSite } from "./site.ts";

test("a channel that is not declared is ERR_CHANNELS_UNKNOWN", async () => {
  await using site = await startSite(memoryPubSub());
  const publish = site.channels.publish as (...given: unknown[]) => Promise<void>;
  await expect(publish("rooms.:id", { id: "a" }, "said", { text: "x" })).rejects.toMatchObject({
    code: "ERR_CHANNELS_UNKNOWN",
    message: expect.stringContaining('"rooms.:id": there are room.:id'),
  });
});

test("after close a connection is refused with ERR_CHANNELS_CLOSED, which is a 503", async () => {
  await using site = await startSite(memoryPubSub());
  await site.channels.close();
  expect((await fetch(`${site.url}/live`)).status).toBe(503);
  expect(site.errors).toMatchObject([{ code: "ERR_CHANNELS_CLOSED" }]);
});

test("what a call throws is an error of the app, unless it is exposed to the page", async () => {
  await using site = await startSite(memoryPubSub());
  using page = await rawPage(site.port, await site.visit("/sign-in?user=ada"));
  page.send({ t: "join", p: "room.:id", a: { id: "a" } });
  await page.receives({ t: "joined" });
  for (const [i, expose] of [true, false].entries()) {
    const id = `0123456789abcde${i}`;
    page.send({ t: "call", k: "room.a", i: id, m: "fail", d: { expose } });
    await page.receives({ t: "failed", i: id });
  }
  expect(site.errors).toMatchObject([{ code: "ERR_NO", expose: false }]);
});
