import { createPubSub } from "@lanai/pubsub";
import { sse } from "@lanai/sse";
import Koa from "koa";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { appWith, siteOf, Tab } from "./site.ts";

test("a stream of pub/sub's events goes on where its client was, and ends with the connection", async () => {
  const bus = createPubSub();
  await bus.ensureStream({ name: "room", subjects: ["room.>"], maxMsgs: 100 });
  const events = sse();
  const app = appWith(Koa, bus.middleware(), events, async (ctx) => {
    const { lastEventId } = ctx;
    const cursor = lastEventId === undefined ? {} : { since: lastEventId };
    await ctx.sse(ctx.pubsub.events("room.*", { ...cursor, replay: 2 }));
  });
  await using site = await siteOf(app);
  for (const n of [1, 2, 3]) await bus.publish("room.blue", { n });

  const tab = await Tab.open(site.url);
  await tab.until(2);
  await bus.publish("room.green", { n: 4 });
  await tab.until(3);
  expect(tab.data).toEqual(['{"n":2}', '{"n":3}', '{"n":4}']);
  const [stream] = events.streams;
  tab.response.destroy();
  await stream?.ended;

  await bus.publish("room.blue", { n: 5 });
  using again = await Tab.open(site.url, { "Last-Event-ID": tab.events.at(-1)?.id ?? "" });
  await bus.publish("room.blue", { n: 6 });
  await again.until(2);
  expect(again.data).toEqual(['{"n":5}', '{"n":6}']);

  await bus.close();
  await again.ended;
  await until(() => expect(events.streams.size).toBe(0));
  expect(site.errors).toEqual([]);
});

test("a client that lost the connection before its first event resumes at the stream's first cursor", async () => {
  const bus = createPubSub();
  await bus.ensureStream({ name: "room", subjects: ["room.>"], maxMsgs: 100 });
  const app = appWith(Koa, bus.middleware(), sse(), async (ctx) => {
    await ctx.sse(ctx.pubsub.events("room.*", { since: ctx.lastEventId, replay: 0 }));
  });
  await using site = await siteOf(app);
  await bus.publish("room.blue", "before");
  const tab = await Tab.open(site.url);
  // An event without data moves the cursor, unseen by the page.
  const id = await until(() => /^id: (.+)\n\n/m.exec(tab.text)?.[1] ?? Promise.reject(tab.text));
  expect(tab.events).toEqual([]);
  tab.response.destroy();
  await bus.publish("room.blue", "missed");
  using again = await Tab.open(site.url, { "Last-Event-ID": id });
  await bus.publish("room.blue", "live");
  await again.until(2);
  expect(again.data).toEqual(["missed", "live"]);
  await bus.close();
});

test("a stream's first cursor never passes an event that its client hasn't received", async () => {
  const bus = createPubSub();
  await bus.ensureStream({ name: "room", subjects: ["room.>"], maxMsgs: 100 });
  const app = appWith(Koa, bus.middleware(), sse(), async (ctx) => {
    await ctx.sse(ctx.pubsub.events("room.*", { replay: 5 }));
    for (const n of [4, 5]) await bus.publish("room.blue", n);
  });
  await using site = await siteOf(app);
  for (const n of [1, 2, 3]) await bus.publish("room.blue", n);
  using tab = await Tab.open(site.url);
  await tab.until(5);
  expect(tab.data).toEqual(["1", "2", "3", "4", "5"]);
  expect(tab.text).not.toMatch(/^id: .+\n\n/m);
  await bus.close();
});
