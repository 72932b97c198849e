import { randomBytes } from "node:crypto";

const TURN = 6;
const COUNT = 4;

/**
 * Names for one request's messages. Sorted, they are in the order in which the messages were left:
 * first a number that is higher than that of every name the request has seen, then eight characters
 * of its own, then its count. No clock is asked: those of an app's servers may differ.
 */
export function namesAfter(seen: readonly string[]): () => string {
  const last = seen.toSorted().at(-1) ?? "";
  const turn = (Number.parseInt(last.slice(0, TURN), 36) || 0) + 1;
  const own = digits(turn, TURN) + randomBytes(6).toString("base64url");
  let count = 0;
  return () => own + digits(count++, COUNT);
}

const digits = (number: number, length: number): string =>
  number.toString(36).padStart(length, "0");
