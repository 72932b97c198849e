import { sse } from "@lanai/sse";
import Koa from "koa";
import { afterEach, describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { appWith, Opened, siteOf, Tab } from "./site.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const fakeTimeouts = () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });

describe("the longest life of a stream", () => {
  test("ends it with a retry, after what was sent", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse({ lifetime: 10_000 }), async (ctx) =>
      opened.with(await ctx.sse()),
    );
    await using site = await siteOf(app);
    fakeTimeouts();
    using tab = await Tab.open(site.url);
    const stream = await opened.value;
    stream.send({ id: "7", data: "last" });
    vi.advanceTimersByTime(8_999);
    expect(stream.isOver).toBe(false);
    vi.advanceTimersByTime(1_001);
    vi.useRealTimers();
    await tab.ended;
    await stream.ended;
    expect(tab.data).toEqual(["last"]);
    const [retry = 0] = tab.retries;
    expect(tab.retries).toHaveLength(1);
    expect(retry).toBeGreaterThanOrEqual(1_000);
    expect(retry).toBeLessThanOrEqual(5_000);
  });

  test("is an hour by default, shorter by a random part of a tenth, and keeps the retry of the options", async () => {
    const events = sse({ retry: 70 });
    const app = appWith(Koa, events, async (ctx) => void (await ctx.sse()));
    await using site = await siteOf(app);
    fakeTimeouts();
    const tabs = await Promise.all(Array.from({ length: 30 }, () => Tab.open(site.url)));
    expect(events.streams.size).toBe(30);
    const open = () => [...events.streams].filter((stream) => !stream.isOver).length;
    vi.advanceTimersByTime(0.9 * 3_600_000 - 1);
    expect(open()).toBe(30);
    vi.advanceTimersByTime(0.05 * 3_600_000);
    await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(open()).toBeGreaterThan(0);
    expect(open()).toBeLessThan(30);
    vi.advanceTimersByTime(0.05 * 3_600_000 + 1);
    vi.useRealTimers();
    await Promise.all(tabs.map((tab) => tab.ended));
    for (const tab of tabs) expect(tab.retries).toEqual([70, 70]);
  });

  test("ends a stream whose client is gone and reads nothing, within closeTimeout", async () => {
    const events = sse({ lifetime: 30, closeTimeout: 20 });
    const app = appWith(Koa, events, async (ctx) => {
      const stream = await ctx.sse();
      while (stream.send({ data: "x".repeat(1_000) }));
    });
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    await until(() => expect(events.streams.size).toBe(0));
  });

  test("of Infinity keeps no timer", async () => {
    const app = appWith(Koa, sse(), async (ctx) => {
      await ctx.sse(undefined, { lifetime: Infinity });
    });
    await using site = await siteOf(app);
    fakeTimeouts();
    using tab = await Tab.open(site.url);
    await until(() => expect(tab.text).not.toBe(""));
    expect(vi.getTimerCount()).toBe(0);
  });
});
