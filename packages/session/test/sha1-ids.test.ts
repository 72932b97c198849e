import { createSecretKey } from "node:crypto";
import { sha1Ids } from "@lanai/session";
import { idGeneratorConformance } from "@lanai/session/testing";
import { describe, expect, test, vi } from "vitest";

const KEY = "twenty bytes or more of a secret";

idGeneratorConformance({ name: "sha1Ids", test, generator: sha1Ids() });
idGeneratorConformance({ name: "sha1Ids with a key", test, generator: sha1Ids({ key: KEY }) });

test("an id is 40 hexadecimal digits", async () => {
  expect(await sha1Ids().generate()).toMatch(/^[0-9a-f]{40}$/);
});

test("two ids of one key and one instant differ", async () => {
  vi.useFakeTimers();
  const generator = sha1Ids({ key: KEY });
  expect(await generator.generate()).not.toBe(await generator.generate());
  vi.useRealTimers();
});

describe("a key", () => {
  test.each([
    ["text", KEY],
    ["bytes", Buffer.alloc(20, 1)],
    ["a key object", createSecretKey(Buffer.alloc(20, 1))],
  ])("may be %s", (_what, key) => {
    expect(() => sha1Ids({ key })).not.toThrow();
  });

  test("of fewer than 20 bytes is refused, and not shown", () => {
    expect(() => sha1Ids({ key: "nineteen bytes here" })).toThrow(
      new RangeError("sha1Ids: key must have at least 20 bytes, got 19"),
    );
  });

  test("that is none is refused", () => {
    expect(() => sha1Ids({ key: 1234567890 as unknown as string })).toThrow(
      new TypeError("sha1Ids: key must be a string, a Uint8Array or a secret KeyObject"),
    );
  });
});

test("an option that doesn't exist is refused by name", () => {
  expect(() => sha1Ids({ secret: KEY } as object)).toThrow(
    new TypeError('sha1Ids: there is no option "secret": write key'),
  );
  expect(() => sha1Ids({ kye: KEY } as object)).toThrow(
    new TypeError('sha1Ids: there is no option "kye": its options are key'),
  );
});
