import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientsEvent, Sink } from "@lanai/clients";
import { expect, test } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

const said = (event: string, data: unknown = null) => JSON.stringify({ event, data });

test("what a tab says at once is heard by handlers that are added when attach resolves, in order", async () => {
  const heard: unknown[] = [];
  await using site = await startSite({
    live: (listener) => {
      listener.on("b", (data) => heard.push(["b", data]));
      listener.on("a", (data) => heard.push(["a", data]));
    },
  });
  const browser = await new Browser(site).signIn("ada");
  for (let i = 0; i < 20; i++) {
    const tab = browser.tab();
    await tab.opened;
    tab.socket.send(said("a", i));
    tab.socket.send(said("b", i));
    await until(() => expect(heard).toHaveLength(2));
    expect(heard.splice(0)).toEqual([
      ["a", i],
      ["b", i],
    ]);
    tab.socket.terminate();
  }
});

test("what a tab says waits for a handler that is added late in the request's handler", async () => {
  const { promise: later, resolve: goOn } = Promise.withResolvers<void>();
  const heard: unknown[] = [];
  await using site = await startSite({
    live: async (listener) => {
      listener.on("early", (data) => heard.push(data));
      await later;
      listener.on("late", (data) => heard.push(data));
    },
  });
  const tab = (await new Browser(site).signIn("ada")).tab();
  await tab.opened;
  tab.socket.send(said("late", 1));
  tab.socket.send(said("early", 2));
  await until(() => expect(heard).toEqual([2]));
  goOn();
  await until(() => expect(heard).toEqual([2, 1]));
});

test("a message that nobody listens to is reported once a minute, when the handler has settled", async () => {
  const events: ClientsEvent[] = [];
  const keep = (event: unknown) => events.push(event as ClientsEvent);
  subscribe("lanai:clients:unheard", keep);
  try {
    await using site = await startSite({ live: (it) => void it.on("known", () => it.send("ok")) });
    const tab = (await new Browser(site).signIn("ada")).tab();
    await tab.opened;
    for (const event of ["unknown", "unknown", "known"]) tab.socket.send(said(event));
    await tab.next("ok");
    await until(() => expect(events).toHaveLength(1));
    expect(events[0]).toMatchObject({ level: "warn", event: "unknown", reason: "dropped" });
  } finally {
    unsubscribe("lanai:clients:unheard", keep);
  }
});

test("what waits is bounded: the transport is paused, and one that can't be is ended", async () => {
  using unheard = reported<ClientsEvent>("lanai:clients:unheard");
  for (const canPause of [true, false]) {
    const { promise: later, resolve: goOn } = Promise.withResolvers<void>();
    const pauses: boolean[] = [];
    let heard = 0;
    let say: (text: string) => void = () => {};
    // A transport from the public types alone.
    const sink: Sink = {
      begin: (_listener, inbound) => {
        say = (text) => inbound.receive(text);
      },
      end() {},
      ...(canPause && { pause: (isPaused: boolean) => void pauses.push(isPaused) }),
    };
    await using site = await startSite({
      attach: { kind: "own", connect: () => sink },
      live: async (it, ctx) => {
        ctx.respond = false;
        await later;
        it.on("x", () => heard++);
      },
    });
    const browser = await new Browser(site).signIn("ada");
    const leave = new AbortController();
    const response = browser.get("/live", { signal: leave.signal }).catch(() => {});
    await until(() => expect(site.listeners).toHaveLength(1));
    const [listener] = site.listeners;
    for (let i = 0; i < 3; i++) say(said("x", "a".repeat(100_000)));
    expect(pauses).toEqual(canPause ? [true] : []);
    expect(listener?.endReason).toBe(canPause ? undefined : "limit");
    goOn();
    if (canPause) await until(() => expect(pauses).toEqual([true, false]));
    expect(heard).toBe(canPause ? 3 : 0);
    leave.abort();
    await response;
  }
  expect(unheard.events).toEqual([
    expect.objectContaining({ level: "warn", event: "x", reason: "held" }),
  ]);
});

test("a tab that goes on while it is paused is ended", async () => {
  let say: (text: string) => void = () => {};
  const sink: Sink = {
    begin: (_listener, inbound) => {
      say = (text) => inbound.receive(text);
    },
    pause() {},
    end() {},
  };
  await using site = await startSite({
    attach: { kind: "own", connect: () => sink },
    live: async (it, ctx) => {
      ctx.respond = false;
      await it.ended;
    },
  });
  const browser = await new Browser(site).signIn("ada");
  const leave = new AbortController();
  const response = browser.get("/live", { signal: leave.signal }).catch(() => {});
  await until(() => expect(site.listeners).toHaveLength(1));
  for (let i = 0; i < 6; i++) say(said("x", "a".repeat(100_000)));
  expect(site.listeners[0]?.endReason).toBe("limit");
  leave.abort();
  await response;
});

test("a WebSocket that floods is paused, and loses nothing", async () => {
  const { promise: later, resolve: goOn } = Promise.withResolvers<void>();
  let heard = 0;
  await using site = await startSite({
    live: async (it) => {
      await later;
      it.on("x", () => heard++);
    },
  });
  const browser = await new Browser(site).signIn("ada");
  const tab = await browser.open(site);
  for (let i = 0; i < 50; i++) tab.socket.send(said("x", "a".repeat(100_000)));
  // If the server read on meanwhile, too much would wait, and the tab would be ended.
  for (let i = 0; i < 20; i++) await browser.get("/");
  expect(tab.listener.endReason).toBeUndefined();
  goOn();
  await until(() => expect(heard).toBe(50));
});
