import type { ClientsEvent, Sink } from "@lanai/clients";
import { describe, expect, test, vi } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

const said = (n: number) => JSON.stringify({ event: "say", data: n });

describe("the rate limit of a listener", () => {
  test("pauses a tab that sends more messages, and loses none of them", async () => {
    const heard: unknown[] = [];
    await using site = await startSite({
      attach: { rate: { messages: 50 } },
      live: (it) => void it.on("say", (data) => heard.push(data)),
    });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    for (let n = 0; n < 80; n++) tab.socket.send(said(n));
    await until(() => expect(heard).toEqual(Array.from({ length: 80 }, (_, n) => n)));
    expect(tab.listener.endReason).toBeUndefined();
  });

  test.each([
    ["messages", { messages: 5, overflow: "close" }],
    ["bytes", { bytes: 300, overflow: "close" }],
  ] as const)("ends one that sends more %s, if so chosen", async (_name, rate) => {
    await using site = await startSite({
      attach: { rate },
      live: (it) => void it.on("say", () => {}),
    });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    for (let n = 0; n < 20; n++) tab.socket.send(said(n));
    expect(await tab.closed).toEqual({ code: 1013, reason: "limit" });
  });

  test("holds for a transport of an app too: one that can pause is paused and resumed, one that can't is ended", async () => {
    for (const canPause of [true, false]) {
      const pauses: boolean[] = [];
      let receive: (text: string) => void = () => {};
      const sink: Sink = {
        begin: (_listener, inbound) => {
          receive = (text) => inbound.receive(text);
        },
        end() {},
        ...(canPause && { pause: (isPaused: boolean) => void pauses.push(isPaused) }),
      };
      await using site = await startSite({
        attach: { kind: "own", connect: () => sink, rate: { messages: 100 } },
        live: async (it, ctx) => {
          ctx.respond = false;
          it.on("say", () => {});
          await it.ended;
        },
      });
      const leave = new AbortController();
      const browser = await new Browser(site).signIn("ada");
      const response = browser.get("/live", { signal: leave.signal }).catch(() => {});
      await until(() => expect(site.listeners).toHaveLength(1));
      // All at once: on a busy machine the rate would leave room for more.
      const now = performance.now();
      const clock = vi.spyOn(performance, "now").mockReturnValue(now);
      for (let n = 0; n < 102; n++) receive(said(n));
      clock.mockRestore();
      expect(site.listeners[0]?.endReason).toBe(canPause ? undefined : "limit");
      expect(pauses).toEqual(canPause ? [true] : []);
      if (canPause) await until(() => expect(pauses).toEqual([true, false]));
      leave.abort();
      await response;
    }
  });
});

test("maxPerProcess holds for handshakes that are under way together, and one that fails gives its place back", async () => {
  using full = reported<ClientsEvent>("lanai:clients:full");
  const handshakes: PromiseWithResolvers<void>[] = [];
  await using site = await startSite({
    maxPerProcess: 2,
    attach: {
      kind: "own",
      connect: async () => {
        const handshake = Promise.withResolvers<void>();
        handshakes.push(handshake);
        await handshake.promise;
        return { end() {} };
      },
    },
    live: (_it, ctx) => {
      ctx.body = "attached";
    },
  });
  const browser = await new Browser(site).signIn("ada");
  const ask = async () => {
    const { status } = await browser.get("/live");
    return status;
  };
  const statuses: number[] = [];
  const all = Array.from({ length: 5 }, async () => statuses.push(await ask()));
  await until(() => expect(handshakes.length + statuses.length).toBe(5));
  expect(statuses).toEqual([503, 503, 503]);
  expect(full.events).toEqual([{ level: "warn" }]);

  const [first, second] = handshakes;
  first?.reject(new Error("gone"));
  await until(() => expect(statuses).toHaveLength(4));
  const late = ask();
  await until(() => expect(handshakes).toHaveLength(3));
  expect(await ask()).toBe(503);
  second?.resolve();
  handshakes[2]?.resolve();
  await Promise.all([...all, late]);
  expect(site.listeners).toHaveLength(2);
});

test("a process takes maxPerProcess listeners: a WebSocket beyond is answered 503, and comes in when one has left", async () => {
  await using site = await startSite({ maxPerProcess: 2 });
  const browser = await new Browser(site).signIn("ada");
  const [first] = [await browser.open(site), await browser.open(site)];
  expect(await browser.tab().refused).toMatchObject({ status: 503 });
  first.socket.close();
  await first.listener.ended;
  await browser.open(site);
});
