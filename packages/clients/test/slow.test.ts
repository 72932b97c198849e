import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { AttachOptions } from "@lanai/clients";
import { describe, expect, onTestFinished, test } from "vitest";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

const BIG = "x".repeat(64 * 1024);

describe("C4: a tab whose socket is paused", () => {
  test("delays no other, and is ended with 1013 when its queue is full", async () => {
    await using site = await startSite();
    const browser = await new Browser(site).signIn("ada");
    const slow = await browser.open(site);
    const others = [await browser.open(site), await browser.open(site)];
    slow.socket.pause();

    let sent = 0;
    while (slow.listener.endReason === undefined && sent < 2_000) {
      await site.clients.send({ user: "ada" }, "big", { n: sent++, BIG });
      for (const tab of others) expect(await tab.next("big")).toMatchObject({ n: sent - 1 });
    }
    expect(slow.listener.endReason).toBe("slow");
    // The connection takes some; what waits beyond that is bounded by 1 MiB.
    expect(sent).toBeLessThan(500);
    slow.socket.resume();
    expect((await slow.closed).code).toBe(1013);
    for (const tab of others) expect(tab.listener.endReason).toBeUndefined();
  });

  test("stays under drop-oldest, misses the oldest, and is told of nothing twice", async () => {
    const events: unknown[] = [];
    const listen = (event: unknown) => events.push(event);
    subscribe("lanai:clients:slow", listen);
    onTestFinished(() => void unsubscribe("lanai:clients:slow", listen));
    await using site = await startSite({
      attach: { queue: { overflow: "drop-oldest", limit: 5 } },
    });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    tab.socket.pause();
    const total = 400;
    for (let n = 0; n < total; n++) await site.clients.send({ user: "ada" }, "big", { n, BIG });
    expect(events.length).toBeGreaterThan(0);
    tab.socket.resume();
    await site.clients.send({ user: "ada" }, "end");
    await tab.next("end");
    const numbers = tab.all("big").map((it) => (it as { n: number }).n);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.slice(-4)).toEqual([total - 4, total - 3, total - 2, total - 1]);
    expect(numbers.length).toBeLessThan(total);
    expect(tab.listener.endReason).toBeUndefined();
  });
});

describe("C4: an iterator that nobody reads", () => {
  const attach = (overflow: "close" | "drop-oldest"): AttachOptions => ({
    queue: { overflow, limit: 10 },
    async connect(ctx) {
      const socket = await ctx.upgrade();
      return { end: (reason, code) => socket.close(code, reason) };
    },
  });

  test("is bounded, and ends its listener", async () => {
    await using site = await startSite({ attach: attach("close") });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    const news = tab.listener.events("news");
    for (let i = 0; i < 10; i++) await site.clients.send({ user: "ada" }, "news", i);
    expect(tab.listener.endReason).toBeUndefined();
    await site.clients.send({ user: "ada" }, "news", 10);
    expect(await tab.closed).toEqual({ code: 1013, reason: "slow" });
    expect((await news.next()).done).toBe(true);
  });

  test("has the newest under drop-oldest", async () => {
    await using site = await startSite({ attach: attach("drop-oldest") });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    const news = tab.listener.events("news");
    for (let i = 0; i < 25; i++) await site.clients.send({ user: "ada" }, "news", i);
    const got: unknown[] = [];
    for (let i = 0; i < 10; i++) got.push((await news.next()).value);
    expect(got).toEqual(Array.from({ length: 10 }, (_, i) => 15 + i));
  });
});
