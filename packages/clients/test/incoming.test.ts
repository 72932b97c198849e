import { expect, test } from "vitest";
import { Incoming } from "../src/listeners/incoming.ts";

const said = (size: number) => JSON.stringify({ event: "say", data: "x".repeat(size) });

/** What comes from a browser that may send so many messages a second, and what its owner is asked for. */
function openIncoming(messages = 1_000) {
  const heard: unknown[] = [];
  const asked: string[] = [];
  let checked = Promise.withResolvers<void>();
  const incoming = new Incoming(
    {
      isHeard: () => true,
      dispatch: (_event, data) => void heard.push(data),
      receiveToken: () => checked.promise,
      unheard() {},
      pause: (isPaused) => asked.push(isPaused ? "pause" : "resume") > 0,
      end: (reason) => void asked.push(reason),
    },
    { messages, bytes: Infinity, overflow: "close" },
  );
  return {
    ...{ incoming, heard, asked },
    check() {
      checked.resolve();
      checked = Promise.withResolvers();
    },
  };
}

test("what has waited and was read counts no longer", async () => {
  const { incoming, heard, asked, check } = openIncoming();
  incoming.receive(said(100_000));
  incoming.open();
  for (let n = 2; n <= 5; n++) {
    incoming.receive(JSON.stringify({ event: "session", data: "token" }));
    incoming.receive(said(100_000));
    expect(heard).toHaveLength(n - 1);
    check();
    await expect.poll(() => heard.length).toBe(n);
  }
  expect(asked).toEqual([]);
});

test("what comes after the end is not even counted", () => {
  const { incoming, heard, asked } = openIncoming(1);
  incoming.open();
  incoming.close();
  for (let n = 0; n < 10; n++) incoming.receive(said(1));
  expect([heard, asked]).toEqual([[], []]);
});
