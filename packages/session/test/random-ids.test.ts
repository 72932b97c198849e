import { randomIds } from "@lanai/session";
import { idGeneratorConformance } from "@lanai/session/testing";
import { expect, test } from "vitest";

const generator = randomIds();

idGeneratorConformance({ name: "randomIds", test, generator });

test("an id is 256 bits in base64url", async () => {
  const id = await generator.generate();
  expect(id).toMatch(/^[\w-]{43}$/);
  expect(Buffer.from(id, "base64url")).toHaveLength(32);
});

test("another spelling of the same bytes is not valid", () => {
  const bytes = Buffer.alloc(32);
  const canonical = bytes.toString("base64url");
  const other = `${canonical.slice(0, -1)}B`;
  expect(Buffer.from(other, "base64url")).toEqual(bytes);
  expect(generator.isValid(canonical)).toBe(true);
  expect(generator.isValid(other)).toBe(false);
});

test("every last character that base64url can have is valid", () => {
  for (let last = 0; last < 256; last++) {
    const id = Buffer.alloc(32, last).toString("base64url");
    expect(generator.isValid(id)).toBe(true);
  }
});

test("the characters of plain base64 and its padding are not valid", async () => {
  const id = await generator.generate();
  for (const character of ["+", "/", "="]) {
    expect(generator.isValid(id.slice(0, 9) + character + id.slice(10))).toBe(false);
  }
  expect(generator.isValid(`${id}=`)).toBe(false);
});
