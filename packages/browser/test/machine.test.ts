import { expect, test } from "vitest";
import { type Input, next, type State } from "../src/machine.ts";

const failures = (tries: number) => ({ tries, taken: 0, unavailable: 0 });
const OPEN: State = { name: "open", failures: failures(0) };
const CONNECTING: State = { name: "connecting", failures: failures(3) };
const PROBING: State = { name: "probing", failures: failures(0) };

test.each([
  [OPEN, { name: "closed", code: 4401 }, "ended"],
  [OPEN, { name: "closed", code: 4400 }, "ended"],
  [OPEN, { name: "closed", code: 4403 }, "connecting"],
  [OPEN, { name: "closed", code: 1012 }, "waiting"],
  [OPEN, { name: "closed", code: 1013 }, "waiting"],
  [OPEN, { name: "pause" }, "paused"],
  [CONNECTING, { name: "closed", code: 1006 }, "probing"],
  [CONNECTING, { name: "closed", code: 4403 }, "waiting"],
  [PROBING, { name: "probed", status: 401, hasOther: false }, "ended"],
  [PROBING, { name: "probed", status: 403, hasOther: false }, "ended"],
  [PROBING, { name: "probed", status: 404, hasOther: false }, "ended"],
  [PROBING, { name: "probed", status: 503, hasOther: false }, "waiting"],
  [PROBING, { name: "probed", status: 0, hasOther: false }, "waiting"],
] as [State, Input, string][])("%o and %o is %s", (state, input, name) => {
  expect(next(state, input, 0.5)[0].name).toBe(name);
});

test("B3: an ended line stays ended, whatever comes", () => {
  const ended: State = { name: "ended", code: "ERR_SIGNED_OUT" };
  const inputs: Input[] = [{ name: "resume" }, { name: "timer" }, { name: "closed", code: 1012 }];
  for (const input of inputs) expect(next(ended, input, 0)).toEqual([ended, []]);
});

test("a page that comes back before its new cookie is refused once, and is not asked for ever", () => {
  let state: State = OPEN;
  const step = (input: Input) => {
    let effects: unknown;
    [state, effects] = next(state, input, 0.5);
    return effects;
  };
  step({ name: "closed", code: 4403 });
  step({ name: "closed", code: 1006 });
  expect(step({ name: "probed", status: 401, hasOther: false })).toEqual([
    { do: "wait", ms: 1_500 },
  ]);
  step({ name: "timer" });
  step({ name: "closed", code: 1006 });
  step({ name: "probed", status: 401, hasOther: false });
  expect(state).toEqual({ name: "ended", code: "ERR_SIGNED_OUT" });
});

test("503 is not retried for ever", () => {
  let state: State = { name: "connecting", failures: failures(0) };
  for (let i = 0; i < 100 && state.name !== "ended"; i++) {
    for (const input of [
      { name: "closed", code: 1006 },
      { name: "probed", status: 503, hasOther: false },
      { name: "timer" },
    ] as Input[]) {
      [state] = next(state, input, 0.5);
    }
  }
  expect(state).toEqual({ name: "ended", code: "ERR_UNAVAILABLE" });
});

test("a server that comes back between an attempt and the question why it failed ends no line", () => {
  for (const status of [0, 503]) {
    let state: State = { name: "connecting", failures: failures(0) };
    for (let i = 0; i < 40; i++) {
      const answer = i % 13 === 12 ? 204 : status;
      for (const input of [
        { name: "closed", code: 1006 },
        { name: "probed", status: answer, hasOther: false },
        { name: "timer" },
      ] as Input[]) {
        [state] = next(state, input, 0.5);
      }
    }
    expect(state.name).toBe("connecting");
  }
});
