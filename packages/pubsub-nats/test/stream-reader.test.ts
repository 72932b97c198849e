import { expect, test } from "vitest";
import { type ReaderParts, StreamReader } from "../src/streams/stream-reader.ts";

test("P10: a reader whose stream is made again while it begins reads the new one from its first message", async () => {
  const stream = (epoch: string, last: number) => ({ epoch, first: 1, last });
  // The stream is made again after its state was read, and before the consumer is there.
  const states = [stream("first", 10), stream("second", 3)];
  const starts: number[] = [];
  const released: number[] = [];
  const consumers = {
    get: async (_name: string, { opt_start_seq: start }: { opt_start_seq: number }) => {
      starts.push(start);
      return {
        start,
        info: async () => ({ num_pending: 3, name: "consumer" }),
        consume: async () => ({ stop() {}, status: async function* () {} }),
      };
    },
  };
  const reader = new StreamReader({
    name: "lost",
    nats: { isUp: false, timeout: 1_000, call: (ask: () => unknown) => ask() },
    client: { consumers },
    history: {
      snapshot: async () => (states.length > 1 ? states.shift() : states[0]),
      release: ({ start }: { start: number }) => void released.push(start),
    },
    heal: async () => true,
    onIdle() {},
  } as unknown as ReaderParts);
  const gaps: string[] = [];
  const begun: (readonly [string, number])[] = [];
  let forgotten = 0;
  const inbox = {
    status: "syncing",
    forgetHeld: () => void forgotten++,
    position: () => undefined,
    gap: (reason: string) => gaps.push(reason),
    startAfter: (epoch: string, position: number) => begun.push([epoch, position]),
    sync() {},
  };
  expect(await reader.join("lost", inbox as never)).toMatchObject({ epoch: "second", last: 3 });
  expect(starts).toEqual([11, 1]);
  expect(released[0]).toBe(11);
  expect(begun).toEqual([["second", 0]]);
  expect(gaps).toEqual(["expired"]);
  expect(forgotten).toBe(1);
  expect(reader.epoch).toBe("second");
});
