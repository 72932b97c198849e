import { memoryPubSub } from "@lanai/pubsub";
import { expect, test } from "vitest";
import { rawPage, streamPage } from "./page.ts";
import { startSite } from "./site.ts";

const JOIN = JSON.stringify({ t: "join", p: "room.:id", a: { id: "a" } });
const PING = JSON.stringify({ t: "ping" });
const lines = (count: number): string => Array(count).fill(PING).join("\n");

test("a page that sends more than the rate limit is closed, if so chosen, on a WebSocket and on an event stream", async () => {
  await using site = await startSite(memoryPubSub(), {
    channels: { rate: { messages: 10, overflow: "close" } },
  });
  const cookie = await site.visit("/sign-in?user=ada");
  using page = await rawPage(site.port, cookie);
  for (let n = 0; n < 30; n++) page.send(PING);
  await expect.poll(() => page.code).toBe(1013);
  await using stream = await streamPage(site.url, cookie);
  expect(await stream.post(1, lines(5))).toBe(204);
  expect(await stream.post(2, lines(30))).toBe(410);
  await expect.poll(() => stream.received).toContain("event: close\ndata: 1013");
});

test("else it is paused, and what it sent is handled: a post is refused with 503 until it may be sent again", async () => {
  await using site = await startSite(memoryPubSub(), { channels: { rate: { messages: 40 } } });
  const cookie = await site.visit("/sign-in?user=ada");
  using page = await rawPage(site.port, cookie);
  for (let n = 0; n < 60; n++) page.send(PING);
  await using stream = await streamPage(site.url, cookie);
  expect(await stream.post(1, lines(60))).toBe(204);
  let n = 2;
  let status = await stream.post(n, JOIN);
  // On a busy machine the time of a post may be as long as it would have to wait.
  for (; status === 204; status = await stream.post(n, lines(60))) n += 1;
  expect(status).toBe(503);
  await expect.poll(() => stream.post(n, JOIN)).toBe(204);
  await expect.poll(() => stream.received).toContain('"t":"joined"');
  await expect.poll(() => page.frames.filter((it) => it.t === "pong").length).toBe(60);
});

test("with idle: messages, a connected page doesn't keep its session, nor do its pings", async () => {
  await using site = await startSite(memoryPubSub(), { channels: { idle: "messages" } });
  const { clients } = site;
  const { attach } = clients;
  const listeners: { readonly wasUsed?: boolean; readonly keepsSession?: boolean }[] = [];
  clients.attach = async (...given) => {
    const listener = await attach(...given);
    listeners.push(listener as object);
    return listener;
  };
  using page = await rawPage(site.port, await site.visit("/sign-in?user=ada"));
  page.send(PING);
  await page.receives({ t: "pong" });
  expect(listeners).toMatchObject([{ keepsSession: false, wasUsed: false }]);
  page.send(JOIN);
  await page.receives({ t: "joined" });
  expect(listeners).toMatchObject([{ wasUsed: true }]);
});

test("a first join receives at most maxReplay of the retained messages, whatever it asks for", async () => {
  const backend = memoryPubSub();
  await backend.ensureStream({ name: "channels", subjects: ["channels.>"] });
  await using site = await startSite(backend, { maxReplay: 3 });
  for (let n = 1; n <= 8; n++) {
    await site.channels.publish("room.:id", { id: "a" }, "said", { text: `${n}` });
  }
  using page = await rawPage(site.port, await site.visit("/sign-in?user=ada"));
  page.send({ t: "join", p: "room.:id", a: { id: "a" }, n: 1_000 });
  await page.receives({ t: "joined" });
  await site.channels.publish("room.:id", { id: "a" }, "said", { text: "9" });
  await page.receives({ d: { text: "9" } });
  const events = page.frames.filter((it) => it.t === "event");
  expect(events.map(({ d }) => (d as { text: string }).text)).toEqual(["6", "7", "8", "9"]);
});
