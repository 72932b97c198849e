import { expect, test } from "vitest";
import { recordOf } from "../src/rows.ts";

const NOW = 1_767_225_600_000;

/** The fields of a session in Redis: its state, when it ends, and an entry. */
const fieldsOf = (createdAt: string, startedAt: string, seenAt: string) => [
  ...["m", `${createdAt} ${startedAt} ${seenAt} 60000 3600000 public`],
  ...["e", `${NOW + 60_000}`, "=a", '"1"'],
];

test("a record is read with its instants, its durations and its entries", () => {
  expect(recordOf(fieldsOf(`${NOW}`, `${NOW + 1}`, `${NOW + 2}`))).toMatchObject({
    ...{ createdAt: NOW, startedAt: NOW + 1, seenAt: NOW + 2 },
    ...{ idle: 60_000, absolute: 3_600_000, publicId: "public" },
    values: new Map([["a", '"1"']]),
  });
});

test.each([0, 1, 2])("a record whose instant %i no clock can show is damaged", (at) => {
  const instants = [NOW, NOW, NOW].map(String).with(at, "9".repeat(20)) as [string, string, string];
  expect(() => recordOf(fieldsOf(...instants))).toThrow(
    expect.objectContaining({ code: "ERR_SESSION_DECODE" }),
  );
});
