import { expect, test } from "vitest";
import type { Host, Socket } from "../src/host.ts";
import { connect } from "../src/index.ts";

/** A page whose sockets, timers and requests the test makes happen. */
function testPage() {
  const sockets: Socket[] = [];
  const timers: { fn: () => void; ms: number; isCancelled: boolean }[] = [];
  const requests: { url: string; options: object }[] = [];
  class TestSocket implements Socket {
    onopen: Socket["onopen"] = null;
    onmessage: Socket["onmessage"] = null;
    onclose: Socket["onclose"] = null;
    onerror: Socket["onerror"] = null;
    constructor() {
      sockets.push(this);
    }
    send(): void {}
    close(): void {}
  }
  const host: Host = {
    URL,
    WebSocket: TestSocket,
    fetch: async (url, options) => {
      requests.push({ url, options });
      return Response.json({ in: 7_000 });
    },
    setTimeout: (fn, ms) => timers.push({ fn, ms, isCancelled: false }) - 1,
    clearTimeout: (at: number) => {
      const timer = timers[at];
      if (timer) timer.isCancelled = true;
    },
    ...{ crypto, performance, console },
    location: { href: "https://app.example/page" },
  };
  const receive = (frame: object): void =>
    sockets.at(-1)?.onmessage?.({ data: JSON.stringify(frame) });
  /** Runs the timer that is due after so many milliseconds. */
  const pass = async (ms: number): Promise<void> => {
    const due = timers.find((it) => it.ms === ms && !it.isCancelled);
    if (!due) throw new Error(`nothing is due after ${ms} ms`);
    due.isCancelled = true;
    due.fn();
    for (let turns = 0; turns < 5; turns++) await Promise.resolve();
    await new Promise(setImmediate);
  };
  return { host, sockets, timers, requests, receive, pass };
}

const OFFER = {
  ...{ t: "message", e: "bound" },
  d: { path: "/device-bound/extend", proof: "listener.secret", in: 5_000 },
};
const REQUEST = {
  url: "https://app.example/device-bound/extend",
  options: {
    ...{ method: "POST", credentials: "include" },
    headers: { "Lanai-Listener": "listener.secret" },
  },
};

test("D1: extends the connection of a device-bound session in time, again and again", async () => {
  const page = testPage();
  const line = connect("/live", { host: page.host });
  const messages: string[] = [];
  line.on("message", ({ event }) => messages.push(event));
  page.receive({ t: "welcome", ping: 25_000, window: 60_000 });
  page.receive(OFFER);
  expect(page.requests).toEqual([]);
  await page.pass(5_000);
  expect(page.requests).toEqual([REQUEST]);
  page.receive({ t: "message", e: "bound.extended", d: {} });
  await page.pass(7_000);
  expect(page.requests).toEqual([REQUEST, REQUEST]);
  expect(messages).toEqual([]);
});

test("D1: extends no connection that was lost meanwhile", async () => {
  const page = testPage();
  connect("/live", { host: page.host });
  page.receive({ t: "welcome", ping: 25_000, window: 60_000 });
  page.receive(OFFER);
  page.sockets[0]?.onclose?.({ code: 4403 });
  expect(page.sockets).toHaveLength(2);
  await page.pass(5_000);
  expect(page.requests).toEqual([]);
});
