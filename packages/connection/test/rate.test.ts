import { describe, expect, test } from "vitest";
import { RateMeter } from "../src/rate.ts";

describe("RateMeter", () => {
  test("allows the messages of one second at once, then as many as its rate", () => {
    let now = 0;
    const meter = new RateMeter({ messages: 10 }, () => now);
    for (let n = 1; n <= 10; n++) expect(meter.take(1)).toBe(0);
    expect(meter.take(1)).toBeCloseTo(100);
    now = 100;
    expect(meter.take(1)).toBeCloseTo(100);
    now = 10_000;
    for (let n = 1; n <= 10; n++) expect(meter.take(1)).toBe(0);
    expect(meter.take(1)).toBeGreaterThan(0);
  });

  test("takes a message that is larger than a second allows, and has its debt waited out", () => {
    const now = 0;
    const meter = new RateMeter({ bytes: 1_000 }, () => now);
    expect(meter.take(3_000)).toBeCloseTo(2_000);
  });

  test("an idle client saves up no more than one second", () => {
    let now = 0;
    const meter = new RateMeter({ messages: 1, bytes: 10 }, () => now);
    now = 3_600_000;
    expect(meter.take(0)).toBe(0);
    expect(meter.take(0)).toBeCloseTo(1_000);
  });

  test("without a limit nothing waits", () => {
    const meter = new RateMeter({}, () => 0);
    for (let n = 0; n < 1_000; n++) expect(meter.take(1e9)).toBe(0);
  });
});
