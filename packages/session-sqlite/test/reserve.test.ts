import { rmSync, statSync, truncateSync } from "node:fs";
import { expect, test } from "vitest";
import { reserveBeside } from "../src/reserve.ts";
import { newFile } from "./files.ts";

const PAGE_SIZE = 4_096;

function openReserve() {
  const path = newFile();
  const file = `${path}-reserve`;
  return { reserve: reserveBeside(path, PAGE_SIZE), file, size: () => statSync(file).size };
}

test("a reserve is enough for a log of 1,000 pages, is given up, and taken again", () => {
  const { reserve, size } = openReserve();
  const whole = size();
  expect(reserve.logPages()).toBe(1_000);
  expect(whole).toBeGreaterThan(reserve.bytesOf(1_000));
  reserve.giveUp();
  expect([size(), reserve.logPages()]).toEqual([0, 16]);
  expect(reserve.restore()).toBe(true);
  expect([size(), reserve.logPages()]).toEqual([whole, 1_000]);
});

test("what is left of a reserve is kept from 64 KiB on", () => {
  const { reserve, file, size } = openReserve();
  const whole = size();
  truncateSync(file, 65_536);
  expect(reserve.restore()).toBe(true);
  expect(size()).toBe(65_536);
  truncateSync(file, 65_535);
  expect(reserve.restore()).toBe(true);
  expect(size()).toBe(whole);
});

test("a reserve that somebody has deleted is none to give up, and is made again", () => {
  const { reserve, file, size } = openReserve();
  const whole = size();
  rmSync(file);
  reserve.giveUp();
  expect(reserve.restore()).toBe(true);
  expect(size()).toBe(whole);
});
