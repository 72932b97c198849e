import type { CommitResult } from "../store.ts";

export type Saved = Extract<CommitResult, { status: "saved" }>;

/** The last operations on a session, and the result of each, which a repeat receives again. */
export interface AppliedOperations {
  readonly names: string[];
  readonly answers: (Saved | undefined)[];
  /** The place of the next one, which is that of the oldest. */
  next: number;
}

/** Returns what remembers four operations: as many as the contract asks for. */
export function noOperations(): AppliedOperations {
  // As long from the beginning as they are ever: an array that grows takes room for 17.
  return {
    names: ["", "", "", ""],
    answers: [undefined, undefined, undefined, undefined],
    next: 0,
  };
}

/** Returns the result of an operation that was applied already. */
export function answerTo({ names, answers }: AppliedOperations, name: string): Saved | undefined {
  for (let at = 0; at < names.length; at++) {
    if (isSame(names[at] as string, name)) return answers[at];
  }
  return undefined;
}

export function remember(applied: AppliedOperations, name: string, answer: Saved): void {
  const { names, answers, next } = applied;
  names[next] = name;
  answers[next] = answer;
  applied.next = (next + 1) % names.length;
}

/** Compares names that mostly differ in their last character, where `===` takes many times as long. */
function isSame(one: string, other: string): boolean {
  const last = one.length - 1;
  return (
    one.length === other.length && one.charCodeAt(last) === other.charCodeAt(last) && one === other
  );
}
