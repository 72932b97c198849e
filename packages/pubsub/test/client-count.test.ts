import { clientCount, createPubSub } from "@lanai/pubsub";
import { expect, test } from "vitest";

test.each<[unknown, number]>([
  ["20", 20],
  [20, 20],
  [2.9, 2],
  ["1000000", 100],
  [Number.POSITIVE_INFINITY, 100],
  ["999999999999999", 100],
  ["Infinity", 0],
  ["9".repeat(400), 0],
  ["-1", 0],
  [-1, 0],
  ["1e9", 0],
  ["", 0],
  [" 7", 0],
  [["7"], 0],
  [undefined, 0],
  [null, 0],
  [Number.NaN, 0],
  [{ valueOf: () => 7 }, 0],
])("a client's %j is %i of at most 100", (given, count) => {
  expect(clientCount(given, 100)).toBe(count);
});

test("whatever a client asks for, replay and history take its count and read no more than the app allows", async () => {
  const bus = createPubSub();
  await bus.ensureStream({ name: "room", subjects: ["room"], maxMsgs: 1_000 });
  for (let n = 0; n < 50; n++) await bus.publish("room", n);
  for (const given of ["1000000", "Infinity", "x", "-5", "3"]) {
    const count = clientCount(given, 10);
    expect(await bus.history("room", count)).toHaveLength(count);
    const heard: number[] = [];
    const subscription = await bus.subscribe<number>("room", (n) => heard.push(n), {
      replay: count,
    });
    expect(heard).toHaveLength(count);
    await subscription.unsubscribe();
  }
  await bus.close();
});

test("its bound is the app's: one that can't be is refused", () => {
  expect(() => clientCount("1", -1)).toThrow(RangeError);
  expect(() => clientCount("1", Number.POSITIVE_INFINITY)).toThrow(RangeError);
});
