import { sse } from "@lanai/sse";
import { EventSource } from "eventsource";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { appWith, siteOf, Tab } from "./site.ts";

describe("close", () => {
  test("ends every stream, and asks its client to come back at a random moment", async () => {
    const events = sse();
    await using site = await siteOf(appWith(Koa, events, async (ctx) => void (await ctx.sse())));
    const tabs = await Promise.all(Array.from({ length: 20 }, () => Tab.open(site.url)));
    await until(() => expect(events.streams.size).toBe(20));
    await events.close({ over: 2_000 });
    expect(events.streams.size).toBe(0);
    await Promise.all(tabs.map((tab) => tab.ended));
    const retries = tabs.flatMap((tab) => tab.retries);
    expect(retries).toHaveLength(20);
    for (const retry of retries) {
      expect(retry).toBeGreaterThanOrEqual(1_000);
      expect(retry).toBeLessThanOrEqual(3_000);
    }
    expect(new Set(retries).size).toBeGreaterThan(1);
  });

  test("answers those who come afterwards with 200 and a retry, never with a 503", async () => {
    const events = sse();
    await using site = await siteOf(appWith(Koa, events, async (ctx) => void (await ctx.sse())));
    await events.close({ over: 0 });
    using tab = await Tab.open(site.url);
    await tab.ended;
    expect([tab.response.statusCode, tab.retries]).toEqual([200, [1_000]]);
    expect(events.streams.size).toBe(0);
  });

  test("lets the server close", async () => {
    const events = sse();
    await using site = await siteOf(appWith(Koa, events, async (ctx) => void (await ctx.sse())));
    using tab = await Tab.open(site.url);
    await until(() => expect(events.streams.size).toBe(1));
    const closed = new Promise((resolve) => site.server.close(resolve));
    await events.close();
    await Promise.all([closed, tab.ended]);
  });
});

describe("the eventsource client", () => {
  test("comes back with the id of the last event that it got, and stops at a 204", async () => {
    const asked: (string | undefined)[] = [];
    const app = appWith(Koa, sse(), async (ctx) => {
      const { lastEventId } = ctx;
      asked.push(lastEventId);
      if (lastEventId === "2") {
        ctx.status = 204;
        return;
      }
      const stream = await ctx.sse(undefined, { retry: 10 });
      stream.send({ id: `${Number(lastEventId ?? 0) + 1}`, event: "step", data: { é: "✓\n" } });
      stream.end();
    });
    await using site = await siteOf(app);
    const source = new EventSource(site.url);
    const got: unknown[] = [];
    source.addEventListener("step", ({ data, lastEventId }) => got.push([lastEventId, data]));
    await until(() => expect(source.readyState).toBe(source.CLOSED));
    expect(asked).toEqual([undefined, "1", "2"]);
    expect(got).toEqual([
      ["1", '{"é":"✓\\n"}'],
      ["2", '{"é":"✓\\n"}'],
    ]);
  });
});
