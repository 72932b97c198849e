import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { animate } from "../apng.ts";

const picture = (name: string) =>
  readFileSync(join(import.meta.dirname, `../../docs/images/${name}.png`));

/** The types of the chunks of a PNG, each once in its order. */
const types = (png: Buffer): string[] => {
  const found: string[] = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    found.push(png.toString("latin1", at + 4, at + 8));
  }
  return found.filter((type, i) => type !== found[i - 1]);
};

test("an animation has a control chunk for each frame, and its data after that", () => {
  const frame = { png: picture("both-survive"), duration: 500 };
  const made = animate([frame, frame]);
  expect(types(made)).toEqual(["IHDR", "acTL", "fcTL", "IDAT", "fcTL", "fdAT", "IEND"]);
});

test("pictures of two sizes make no animation", () => {
  const [one, other] = ["both-survive", "first-page"].map(picture);
  const frames = [one, other].map((png) => ({ png: png as Buffer, duration: 500 }));
  expect(() => animate(frames)).toThrow("one size and colour type");
});

test("the animation of the README is under a megabyte", () => {
  const animation = picture("miss-nothing");
  expect(types(animation)).toContain("acTL");
  expect(animation.length).toBeLessThan(1_000_000);
});
