import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { SseStream } from "@lanai/sse";
import { sse } from "@lanai/sse";
import Koa from "koa";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { appWith, Opened, siteOf, Tab } from "./site.ts";

const KB = "x".repeat(1024);

/** Sends until the connection takes no more, its buffers in the system included. */
async function fill(stream: SseStream): Promise<number> {
  let sent = 0;
  for (;;) {
    do sent += 1;
    while (stream.send({ data: KB }));
    let drained = false;
    void stream.drained().then(() => {
      drained = true;
    });
    for (let turn = 0; turn < 10 && !drained; turn++) await nextTurn();
    if (!drained) return sent;
  }
}

describe("one tab that reads nothing", () => {
  test("delays no other", async () => {
    const events = sse();
    const app = appWith(Koa, events, async (ctx) => void (await ctx.sse()));
    await using site = await siteOf(app);
    using stuck = await Tab.open(site.url);
    stuck.response.pause();
    const [first] = events.streams;
    const sent = await fill(first as SseStream);
    using other = await Tab.open(site.url);
    for (let n = 1; n <= 900; n++) {
      for (const stream of events.streams) stream.send({ data: KB });
      if (n % 100 === 0) await other.until(n);
    }
    expect(stuck.events.length).toBeLessThan(sent);
    expect(events.streams.size).toBe(2);
  });

  test("is cut off by default when more than queue.bytes waits", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse({ queue: { bytes: 10_000 } }), async (ctx) =>
      opened.with(await ctx.sse()),
    );
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    await fill(stream);
    for (let n = 0; n < 9; n++) stream.send({ data: KB });
    expect(stream.isOver).toBe(false);
    stream.send({ data: KB });
    expect(stream.isOver).toBe(true);
    await stream.ended;
    expect(stream.signal.aborted).toBe(true);
    expect(site.errors).toEqual([]);
  });

  test("with drop-oldest gets the newest when it reads again", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse({ queue: { bytes: 20_000 } }), async (ctx) =>
      opened.with(await ctx.sse(undefined, { queue: { overflow: "drop-oldest" } })),
    );
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    const sent = await fill(stream);
    for (let n = 0; n < 100; n++) stream.send({ id: `${n}`, data: KB });
    expect(stream.dropped).toBeGreaterThanOrEqual(80);
    tab.response.resume();
    await tab.until(sent + 100 - stream.dropped);
    const ids = tab.events.slice(sent).map(({ id }) => Number(id));
    expect(ids.at(-1)).toBe(99);
    expect(ids).toEqual(ids.map((_, n) => stream.dropped + n));
  });

  test("with drop-oldest gets the newest, however large", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse({ queue: { overflow: "drop-oldest" } }), async (ctx) =>
      opened.with(await ctx.sse(undefined, { queue: { bytes: 1 } })),
    );
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    await fill(stream);
    for (const data of ["a", "b", "newest"]) stream.send({ data });
    expect(stream.dropped).toBe(2);
    tab.response.resume();
    await until(() => expect(tab.data.at(-1)).toBe("newest"));
  });

  test("that leaves ends the wait for it", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse(), async (ctx) => opened.with(await ctx.sse()));
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    await fill(stream);
    const draining = stream.drained();
    tab.response.destroy();
    await draining;
  });

  test("is sent no heartbeat on top", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse({ heartbeat: 1, queue: { bytes: 1 } }), async (ctx) =>
      opened.with(await ctx.sse()),
    );
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    using other = await Tab.open(site.url);
    const stream = await opened.value;
    await fill(stream);
    // The other's heartbeats tell that as many were due here.
    const had = other.comments.length;
    await until(() => expect(other.comments.length).toBeGreaterThan(had + 10));
    expect(stream.isOver).toBe(false);
  });

  test("makes its source wait, and loses nothing of it", async () => {
    let asked = 0;
    const opened = new Opened();
    const app = appWith(Koa, sse({ queue: { bytes: 1 } }), async (ctx) =>
      opened.with(
        await ctx.sse(
          (async function* () {
            while (asked < 5_000) {
              asked += 1;
              yield { id: `${asked}`, data: KB };
            }
          })(),
        ),
      ),
    );
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    let before = -1;
    await until(() => {
      const still = asked === before;
      before = asked;
      expect(still).toBe(true);
    });
    expect(asked).toBeLessThan(5_000);
    expect(stream.isOver).toBe(false);
    tab.response.resume();
    await tab.ended;
    expect(tab.events.map(({ id }) => Number(id))).toEqual(
      Array.from({ length: 5_000 }, (_, n) => n + 1),
    );
  });
});

test("send says when to wait, and drained when to go on", async () => {
  const opened = new Opened();
  const app = appWith(Koa, sse(), async (ctx) => opened.with(await ctx.sse()));
  await using site = await siteOf(app);
  using tab = await Tab.open(site.url);
  const stream = await opened.value;
  expect(stream.send({ data: "small" })).toBe(true);
  await stream.drained();
  tab.response.pause();
  const sent = await fill(stream);
  expect(stream.send({ data: "queued" })).toBe(false);
  let drained = false;
  const draining = stream.drained().then(() => {
    drained = true;
  });
  await nextTurn();
  expect(drained).toBe(false);
  tab.response.resume();
  await draining;
  await tab.until(sent + 2);
  expect(tab.data.at(-1)).toBe("queued");
});

describe("end", () => {
  test("comes after what waits", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse(), async (ctx) => opened.with(await ctx.sse()));
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    const sent = await fill(stream);
    stream.send({ data: "queued" });
    stream.end({ retry: 7 });
    expect(stream.send({ data: "late" })).toBe(false);
    tab.response.resume();
    await tab.ended;
    expect(tab.data.slice(sent)).toEqual(["queued"]);
    expect(tab.retries).toEqual([7]);
  });

  test("doesn't wait longer than closeTimeout for a client that reads nothing", async () => {
    const opened = new Opened();
    const app = appWith(Koa, sse({ closeTimeout: 20 }), async (ctx) =>
      opened.with(await ctx.sse()),
    );
    await using site = await siteOf(app);
    using tab = await Tab.open(site.url);
    tab.response.pause();
    const stream = await opened.value;
    await fill(stream);
    stream.end();
    await stream.ended;
  });
});

test("a stream that is over writes nothing more, and keeps no timer", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const opened = new Opened<[SseStream, ServerResponse]>();
  const app = appWith(Koa, sse(), async (ctx) => opened.with([await ctx.sse(), ctx.res]));
  await using site = await siteOf(app);
  using tab = await Tab.open(site.url);
  const [stream, response] = await opened.value;
  expect(vi.getTimerCount()).toBe(1);
  stream.end();
  const write = vi.spyOn(response, "write");
  expect(stream.send({ data: "late" })).toBe(false);
  expect(stream.comment("late")).toBe(false);
  vi.advanceTimersByTime(60_000);
  expect(write).not.toHaveBeenCalled();
  await Promise.all([stream.ended, tab.ended]);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test("a heartbeat is a comment", async () => {
  const app = appWith(Koa, sse(), async (ctx) => {
    await ctx.sse(undefined, { heartbeat: 5 });
  });
  await using site = await siteOf(app);
  using tab = await Tab.open(site.url);
  await until(() => expect(tab.comments.length).toBeGreaterThan(3));
  expect(tab.events).toEqual([]);
});
