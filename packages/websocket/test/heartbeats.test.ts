import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Heartbeats } from "../src/heartbeats.ts";
import type { UpgradedSocket } from "../src/upgraded-socket.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A socket that writes down when it is pinged. */
const socketOf = (beats: number[]): UpgradedSocket =>
  ({ beat: () => beats.push(Math.floor(performance.now() / 100)) }) as never;

test("each socket is pinged once in an interval, not all at one moment, by one timer that ends with the last", () => {
  const heartbeats = new Heartbeats(3_000);
  const beats: number[][] = [[], [], []];
  const sockets = beats.map(socketOf);
  for (const it of sockets) heartbeats.add(it);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(6_500);
  expect(beats.map((it) => it.length)).toEqual([2, 2, 2]);
  expect(new Set(beats.map(([first]) => first)).size).toBe(3);
  for (const it of sockets) heartbeats.delete(it);
  expect(vi.getTimerCount()).toBe(0);
});

test("with an interval of Infinity there is no timer", () => {
  const heartbeats = new Heartbeats(Infinity);
  heartbeats.add(socketOf([]));
  expect(vi.getTimerCount()).toBe(0);
});
