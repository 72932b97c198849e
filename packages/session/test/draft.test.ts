import { createSessions } from "@lanai/session";
import type { SessionRecord } from "@lanai/session/store";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decode, encode } from "../src/request/codec.ts";
import { Draft } from "../src/request/draft.ts";

const NAMES = ["d:a", "d:b", "d:c"];
const TIMEOUTS = { idleTimeout: 1_000, absoluteTimeout: 2_000 };

type Values = ReadonlyMap<string, unknown>;

const recordOf = (values: Values): SessionRecord => ({
  publicId: "p",
  values: new Map([...values].map(([name, value]) => [name, encode(value, name)])),
  owners: new Set(),
  createdAt: 0,
  startedAt: 0,
  seenAt: 0,
  idle: 1_000,
  absolute: 2_000,
});

/** What the app sees and what the store has, as two plain maps. */
class Model {
  seen: Map<string, unknown>;
  stored: Map<string, unknown>;

  constructor(values: Values) {
    this.seen = new Map(structuredClone([...values]));
    this.stored = new Map(structuredClone([...values]));
  }
}

interface Pair {
  readonly draft: Draft;
  readonly model: Model;
  record: SessionRecord;
}

type Step = (pair: Pair) => void;

const sorted = (values: Values) => [...values].sort(([one], [other]) => (one < other ? -1 : 1));

function check({ draft, model, record }: Pair): void {
  for (const name of NAMES) {
    const isOpen = draft.isPending(name);
    // Reading may begin to watch a name, but never one that is pending.
    expect(draft.read(name, record)).toEqual(model.seen.get(name));
    expect(draft.isPending(name)).toBe(isOpen);
    expect(draft.has(name, record)).toBe(model.seen.has(name));
  }
  expect(draft.names("d:", record)).toEqual(sorted(model.seen).map(([name]) => name));
}

/** Applies the change to what is stored, as a store does. */
function commit(pair: Pair): void {
  const { draft, model } = pair;
  draft.noticeChangesInPlace();
  const change = draft.change(pair.record, TIMEOUTS);
  const sent = draft.sent();
  const values = new Map(pair.record.values);
  for (const name of change?.delete ?? []) values.delete(name);
  for (const [name, text] of change?.set ?? []) values.set(name, text);
  for (const [name, text] of change?.set ?? []) expect(pair.record.values.get(name)).not.toBe(text);
  pair.record = { ...pair.record, values };
  draft.settle(sent, pair.record);
  model.stored = structuredClone(model.seen);
  const decoded = [...values].map(([name, text]): [string, unknown] => [name, decode(text, name)]);
  expect(sorted(new Map(decoded))).toEqual(sorted(model.stored));
  expect(draft.change(pair.record, TIMEOUTS)).toBeUndefined();
}

const name = fc.constantFrom(...NAMES);
const value = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 0, max: 3 }).map((n) => ({ n })),
  fc.constantFrom("", "text", null, false),
);

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(name, value).map(
    ([name, value]): Step =>
      ({ draft, model }) => {
        const own = structuredClone(value);
        draft.set(name, own);
        model.seen.set(name, own);
      },
  ),
  name.map(
    (name): Step =>
      ({ draft, model }) => {
        draft.delete(name);
        model.seen.delete(name);
      },
  ),
  name.map(
    (name): Step =>
      ({ draft, model, record }) => {
        const read = draft.read(name, record);
        if (typeof read !== "object" || read === null) return;
        (read as { n: number }).n += 1;
        model.seen.set(name, structuredClone(read));
      },
  ),
  fc.constant<Step>(commit),
  fc.constant<Step>(({ draft, model }) => {
    draft.clear();
    model.seen = structuredClone(model.stored);
  }),
  // A pop of what is pending, which succeeds or fails.
  fc.tuple(name, fc.boolean()).map(
    ([name, succeeds]): Step =>
      ({ draft, model, record }) => {
        const taken = draft.take([name]);
        if (taken.size === 0) return;
        expect(taken.get(name)?.value).toEqual(model.seen.get(name));
        expect(draft.has(name, record)).toBe(false);
        if (!succeeds) return draft.giveBack(taken);
        draft.forget(taken);
        // What is stored under the name shows again: the pop takes that out by itself.
        if (model.stored.has(name)) model.seen.set(name, structuredClone(model.stored.get(name)));
        else model.seen.delete(name);
      },
  ),
);

test("the draft is a function of the record and the calls", () => {
  fc.assert(
    fc.property(
      fc.dictionary(name, value).map((it) => new Map(Object.entries(it))),
      fc.array(steps, { maxLength: 12 }),
      (values, calls) => {
        const pair = { draft: new Draft(), model: new Model(values), record: recordOf(values) };
        for (const call of calls) {
          call(pair);
          check(pair);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("a pop after a conflict returns exactly the value that it removes", async () => {
  const isRead = fc.boolean();
  await fc.assert(
    fc.asyncProperty(value, value, isRead, async (before, after, isRead) => {
      const sessions = createSessions();
      const { session } = await sessions.create({ values: { a: before, kept: 1 } });
      const { id = "" } = session;
      const popping = await sessions.open(id);
      if (isRead) popping?.get("a");
      const other = await sessions.open(id);
      other?.set("a", structuredClone(after));
      await other?.commit();
      expect(await popping?.pop("a")).toEqual(after);
      expect((await sessions.open(id))?.toJSON()).toEqual({ kept: 1 });
    }),
    { numRuns: 50 },
  );
});
