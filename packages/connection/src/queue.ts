import { integer, nested, oneOf, type Rule } from "./options.ts";

/**
 * The policy for a slow client for which more waits than its queue may hold.
 *
 * - `close`: the connection is closed, and its client may come back: a WebSocket with 1013; an event
 *   stream with the id of the last event that it received.
 * - `drop-oldest`: what has waited longest is dropped.
 */
export type OverflowPolicy = "close" | "drop-oldest";

/** The queue of what waits for a slow client. */
export interface QueueOptions {
  /** The most messages that wait. An integer from 1 to 1,000,000. */
  readonly limit?: number;
  /** The most bytes that wait. An integer from 1 to 2^31 - 1. */
  readonly bytes?: number;
  /** The policy when more waits. */
  readonly overflow?: OverflowPolicy;
}

const DEFAULTS: Required<QueueOptions> = { limit: 10_000, bytes: 1024 * 1024, overflow: "close" };

/** Returns the rule of the option `queue`. `unit` names what waits, such as `messages`. */
export function queueRule(unit: string): Rule {
  return nested<QueueOptions>({
    limit: integer(1, 1_000_000, unit),
    bytes: integer(1, 2 ** 31 - 1, "bytes"),
    overflow: oneOf("close", "drop-oldest"),
  });
}

/** The former names of these options, for `checkOptions`. */
export const MOVED_TO_QUEUE = {
  maxBuffered: "write queue: { bytes }",
  overflow: "write queue: { overflow }",
} as const;

/** Returns the options of a queue, complete. */
export function queueOf(
  { limit, bytes, overflow }: QueueOptions = {},
  defaults: Required<QueueOptions> = DEFAULTS,
): Required<QueueOptions> {
  return {
    limit: limit ?? defaults.limit,
    bytes: bytes ?? defaults.bytes,
    overflow: overflow ?? defaults.overflow,
  };
}
