import { uuidIds } from "@lanai/session";
import { idGeneratorConformance } from "@lanai/session/testing";
import { expect, test } from "vitest";

const generator = uuidIds();

idGeneratorConformance({ name: "uuidIds", test, generator });

test.each([
  ["another version", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"],
  ["another variant", "f81d4fae-7dec-41d0-c765-00a0c91e6bf6"],
  ["upper case", "F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6"],
  ["no hyphens", "f81d4fae7dec41d0a76500a0c91e6bf6"],
  ["braces", "{f81d4fae-7dec-41d0-a765-00a0c91e6bf6}"],
  ["nil", "00000000-0000-0000-0000-000000000000"],
])("a UUID of %s is not valid", (_what, id) => {
  expect(generator.isValid(id)).toBe(false);
});

test("a UUID of version 4 in lower case is valid", () => {
  expect(generator.isValid("f81d4fae-7dec-41d0-a765-00a0c91e6bf6")).toBe(true);
});
