import type { IndexedStore } from "@lanai/session/store";
import type { Mistake } from "./model.ts";
import type { Step } from "./schedule.ts";

type Calls = Record<string, (...args: readonly unknown[]) => unknown>;

/** Gives the operations of a call names that nobody has heard of. */
function renamed(server: IndexedStore): IndexedStore {
  let count = 0;
  const anew = (it: unknown): unknown =>
    typeof it === "object" && it !== null && "operation" in it
      ? { ...it, operation: `anew ${count++}` }
      : it;
  const calls = Object.entries(server as unknown as Calls).map(([name, call]) => [
    name,
    typeof call === "function" ? (...args: readonly unknown[]) => call(...args.map(anew)) : call,
  ]);
  return { ...server, ...Object.fromEntries(calls) };
}

export const APPLIES_TWICE: Mistake = {
  name: "carries a command out again that is sent again",
  server: renamed,
};

export const NEVER_LATE: Mistake = {
  name: "never carries out what was under way when the connection broke",
  steps: (steps) =>
    steps
      .filter((step) => step.do !== "late")
      .map((step) => (step.do === "cut" ? { ...step, late: [] } : step)),
};

export const UNANSWERED_IS_UNDONE: Mistake = {
  name: "has carried out nothing that it hasn't answered",
  steps: (steps) =>
    steps.flatMap((step): Step[] =>
      step.do === "apply"
        ? []
        : step.do === "answer"
          ? [{ do: "apply", call: step.call }, step]
          : [step],
    ),
};
