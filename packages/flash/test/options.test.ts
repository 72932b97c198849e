import { type FlashOptions, flash } from "@lanai/flash";
import { expect, test } from "vitest";

const bad: readonly (readonly [options: unknown, type: typeof TypeError, says: string])[] = [
  [null, TypeError, "flash: the options must be an object, got null"],
  ["session", TypeError, "flash: the options must be an object, got string"],
  [
    { key: "flash" },
    TypeError,
    'there is no option "key": its options are property, life, maxMess',
  ],
  [{ property: "a b" }, TypeError, 'property must be a name such as "session", got "a b"'],
  [{ property: 1 }, TypeError, 'property must be a name such as "session", got 1'],
  [{ life: "forever" }, TypeError, 'life must be "until-read" or "next-request", got "forever"'],
  [{ maxMessages: 0 }, RangeError, "maxMessages must be an integer from 1 to 1000, got 0"],
  [{ maxMessages: 1001 }, RangeError, "from 1 to 1000, got 1001"],
  [{ maxMessages: 1.5 }, RangeError, "from 1 to 1000, got 1.5"],
  [{ maxMessages: "9" }, TypeError, "from 1 to 1000, got string"],
];

test.each(bad)("%o is refused at construction", (options, type, says) => {
  const make = () => flash(options as FlashOptions);
  expect(make).toThrow(type);
  expect(make).toThrow(says);
});

test.each([
  undefined,
  {},
  { property: "tab", life: "next-request", maxMessages: 1000 },
  { maxMessages: 1 },
] as const)("%o is accepted", (options) => {
  expect(flash(options)).toBeTypeOf("function");
});
