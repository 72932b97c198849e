import { join } from "node:path";
import { expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { startNats } from "../../../scripts/services/nats.ts";
import { startRedis } from "../../../scripts/services/redis.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { visit, write } from "./visitors.ts";

const brokers = [
  ["redis", startRedis],
  ["nats", startNats],
] as const;

test.each(brokers)(
  "with PUBSUB=%s://… two processes show one wall, also through a restart of one",
  async (scheme, startBroker) => {
    await using broker = await startBroker();
    const start = async () => {
      const port = await freePort();
      const program = await startProgram(join(import.meta.dirname, ".."), "src/main.ts", port, {
        PUBSUB: `${scheme}://127.0.0.1:${broker.port}`,
      });
      return {
        url: `http://127.0.0.1:${port}`,
        [Symbol.asyncDispose]: program[Symbol.asyncDispose],
      };
    };
    await using one = await start();
    const here = await visit(one.url);
    {
      await using other = await start();
      const there = await visit(other.url);
      await write(one.url, "one");
      await write(other.url, "two");
      for (const it of [here, there]) expect(await it.texts(2)).toEqual(["one", "two"]);
      there.leave();
    }
    await write(one.url, "three");
    await using again = await start();
    const back = await visit(again.url);
    for (const it of [here, back]) {
      expect(await it.texts(3)).toEqual(["one", "two", "three"]);
      it.leave();
    }
  },
);

test("in Chromium a note appears on every open page, and a visitor who comes later sees it", async () => {
  const port = await freePort();
  await using _program = await startProgram(
    join(import.meta.dirname, ".."),
    "src/main.ts",
    port,
    {},
  );
  await using browser = await startChromium();
  const url = `http://127.0.0.1:${port}/room`;
  const open = async () => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(url);
    return page;
  };
  const [ada, bob] = [await open(), await open()];
  await ada.fill("[name=from]", "ada");
  await ada.fill("[name=text]", "<b>hello</b>");
  await ada.click("button");
  for (const page of [ada, bob, await open()]) {
    const note = page.locator("#notes li").first();
    await note.waitFor();
    expect(await note.textContent()).toBe("ada: <b>hello</b>");
  }
});
