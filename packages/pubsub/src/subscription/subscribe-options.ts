import {
  checkOptions,
  checkValue,
  func,
  integer,
  nested,
  oneOf,
  or,
  type Rules,
  value,
} from "@lanai/connection/options";
import type { QueueOptions, SubscribeOptions } from "../pubsub.ts";
import { validateCall } from "../subjects/subject.ts";

const QUEUE: Rules<QueueOptions> = {
  limit: integer(1, 1_000_000),
  bytes: integer(1),
  overflow: oneOf("close", "drop-oldest"),
};

const OPTIONS: Rules<SubscribeOptions> = {
  replay: or(integer(0), Infinity),
  // It comes from clients: a refusal must not repeat it.
  since: value("a string", (it) => typeof it === "string"),
  signal: value("an AbortSignal", (it) => it instanceof AbortSignal),
  queue: nested(QUEUE),
  onError: func,
  onGap: func,
};

/** The checked form of `queue`, with its defaults. */
export type QueueLimits = Required<QueueOptions>;

/**
 * Checks what was given to `subscribe`, before anything else happens.
 *
 * @throws PubSubError for the subject, TypeError or RangeError for the rest.
 */
export function validateSubscribe(
  subject: string,
  handler: (...args: never[]) => unknown,
  options: SubscribeOptions = {},
): void {
  validateCall(subject, "subscribe", options);
  checkValue("subscribe", "the handler", handler, func);
  if (handler === undefined) throw new TypeError("subscribe: the handler must be a function");
  checkOptions("subscribe", options, OPTIONS);
}

let last: QueueLimits = { limit: 1024, bytes: 16 * 2 ** 20, overflow: "close" };

/**
 * Returns the limits of a subscription's queue. The options were checked before. Thousands of
 * subscriptions with the same limits, one after the other, share one object.
 */
export function queueLimits({ queue = {} }: SubscribeOptions): QueueLimits {
  const { limit = 1024, bytes = 16 * 2 ** 20, overflow = "close" } = queue;
  const isSame = limit === last.limit && bytes === last.bytes && overflow === last.overflow;
  if (!isSame) last = { limit, bytes, overflow };
  return last;
}
