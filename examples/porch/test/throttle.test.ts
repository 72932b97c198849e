import { expect, test } from "vitest";
import { Throttle } from "../src/throttle.ts";

test("from the fifth wrong password on the wait doubles from one second up to a minute", () => {
  let now = 0;
  const throttle = new Throttle(() => now);
  const waits: number[] = [];
  for (let i = 0; i < 13; i++) {
    throttle.failed("ada");
    waits.push(throttle.wait("ada"));
    now += throttle.wait("ada") * 1000;
    expect(throttle.wait("ada")).toBe(0);
  }
  expect(waits).toEqual([0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test("the right password ends the wait, and nobody else has to wait", () => {
  const throttle = new Throttle(() => 0);
  for (let i = 0; i < 6; i++) throttle.failed("ada");
  expect([throttle.wait("ada"), throttle.wait("bob")]).toEqual([2, 0]);
  throttle.succeeded("ada");
  throttle.failed("ada");
  expect(throttle.wait("ada")).toBe(0);
});
