import type { EndReason, Listener } from "@lanai/clients";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Outcome } from "../src/bus/claims.ts";
import { Connection, type ConnectionHost } from "../src/connection.ts";
import type { Frame } from "../src/frame.ts";
import { channel, type } from "../src/index.ts";
import type { Settings } from "../src/options.ts";
import type { Room } from "../src/room/room.ts";

/** A connection in the room `a`, whose calls wait until the test lets them go on. */
async function openConnection() {
  const handled: string[] = [];
  const CHANNEL = channel({
    join: () => true,
    events: {},
    calls: { say: { input: type<string>(), handle: (text) => void handled.push(text) } },
  });
  const room = {
    ...{ key: "a", channel: CHANNEL, ready: Promise.resolve(), hold: () => () => {} },
    ...{ prepare: async () => [], add: () => true, remove() {} },
  } as unknown as Room;
  const turn = Promise.withResolvers<void>();
  const outcomes: Outcome[] = [];
  const limits = { maxChannels: 10, joinRate: 10, maxCalls: 10, maxFrame: 1_024 };
  const host: ConnectionHost = {
    settings: { ...limits, callTimeout: 1_000 } as Settings,
    connections: new Set(),
    find: () => ({ key: "a", channel: CHANNEL, params: {} }),
    room: () => room,
    publish: async () => {},
    claimsPlace: async () => undefined,
    async once(_id, handle) {
      await turn.promise;
      const outcome = await handle();
      outcomes.push(outcome);
      return outcome;
    },
    failed(error) {
      throw error;
    },
  };
  const listener = { id: "one", user: "ada", endReason: undefined as EndReason | undefined };
  const frames: Record<string, unknown>[] = [];
  const did: string[] = [];
  const link = {
    send: ({ text }: Frame) => frames.push(JSON.parse(text)) > 0,
    drained: () => Promise.resolve(),
    close: (code: number) => void did.push(`close ${code}`),
    cut: () => void did.push("cut"),
  };
  const connection = new Connection({
    ...{ host, link, id: "one", confirms: true },
    listener: Object.assign(listener, { touch() {} }) as unknown as Listener,
  });
  const receive = (frame: object) => connection.receive(JSON.stringify(frame));
  receive({ t: "join", p: "a", a: {}, n: 0 });
  await new Promise((resolve) => setImmediate(resolve));
  return { connection, listener, receive, frames, did, handled, outcomes, turn };
}

const call = { t: "call", k: "a", i: "0123456789abcdef", m: "say", d: "hello" };

test.each(["terminated", "disconnected"] as const)(
  "C2: a call that waited for its turn is not handled after its listener was %s",
  async (reason) => {
    const { listener, receive, turn, outcomes, handled } = await openConnection();
    receive(call);
    listener.endReason = reason;
    turn.resolve();
    await expect.poll(() => outcomes).toEqual([{ ok: false, code: "ERR_REFUSED" }]);
    expect(handled).toEqual([]);
  },
);

test("B4: a call that waited for its turn is not handled after its page was removed", async () => {
  const { connection, receive, turn, outcomes, handled } = await openConnection();
  receive(call);
  void connection.removeFrom("a");
  turn.resolve();
  await expect.poll(() => outcomes).toEqual([{ ok: false, code: "ERR_REFUSED" }]);
  expect(handled).toEqual([]);
});

test("a call that waited for its turn is handled after its page has left the channel, or the site", async () => {
  const { connection, receive, turn, handled } = await openConnection();
  receive(call);
  receive({ t: "leave", k: "a" });
  connection.end();
  turn.resolve();
  await expect.poll(() => handled).toEqual(["hello"]);
});

test("B4: whoever removes a page once more waits for the page, too", async () => {
  const { connection, receive, frames } = await openConnection();
  const done: string[] = [];
  const removed = connection.removeFrom("a").then(() => done.push("first"));
  const again = connection.removeFrom("a").then(() => done.push("second"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual([]);
  receive({ t: "ack", i: frames.find(({ t }) => t === "left")?.i });
  await Promise.all([removed, again]);
  expect(done.sort()).toEqual(["first", "second"]);
});

test("B4: a silent page is cut at once, so that what waits for it is not sent", async () => {
  const { connection, did } = await openConnection();
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  void connection.removeFrom("a");
  await vi.advanceTimersByTimeAsync(1_499);
  expect(did).toEqual([]);
  await vi.advanceTimersByTimeAsync(100);
  expect(did).toEqual(["close 4403", "cut"]);
});
