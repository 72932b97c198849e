import { expect, test } from "vitest";
import { Fifo } from "../src/subscription/fifo.ts";

test("a queue is what an array with push and shift is, however it is filled and emptied", () => {
  const fifo = new Fifo<number>();
  let array: number[] = [];
  let state = 7;
  const random = (n: number) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
  for (let i = 0; i < 20_000; i++) {
    // In waves, so that it grows large and gets empty.
    if (random(100) < (i % 2000 < 1200 ? 60 : 25)) {
      fifo.push(i);
      array.push(i);
    } else {
      expect(fifo.shift()).toBe(array.shift());
    }
    if (i % 7777 === 0) {
      fifo.clear();
      array = [];
    }
    expect(fifo.length).toBe(array.length);
    expect(fifo.last).toBe(array.at(-1));
  }
});

test("what was taken out isn't held on to", async () => {
  const fifo = new Fifo<object>();
  for (let i = 0; i < 3; i++) fifo.push({});
  const taken = new WeakRef(fifo.shift() as object);
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  await new Promise(setImmediate);
  runInNewContext("gc")();
  expect(taken.deref()).toBeUndefined();
  expect(fifo.length).toBe(2);
});
