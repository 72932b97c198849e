import { checkOptions, integer, oneOf, property, type Rules } from "@lanai/connection/options";

/** Options of `flash`. */
export interface FlashOptions {
  /**
   * The property of the session that keeps the messages, if an app has several. Default: `session`.
   */
  readonly property?: string;
  /**
   * `until-read`: a message waits until it is popped. `next-request`: the next request that passes
   * this middleware has it, whether it asks or not, and no later one. Default: `until-read`.
   */
  readonly life?: "until-read" | "next-request";
  /**
   * The most messages that wait in a session, and that one request may leave. When a request leaves
   * one more, the oldest of those before it is dropped. An integer from 1 to 1,000. Default: 100.
   */
  readonly maxMessages?: number;
}

const RULES: Rules<FlashOptions> = {
  property,
  life: oneOf("until-read", "next-request"),
  maxMessages: integer(1, 1_000),
};

export function validate(options: FlashOptions): void {
  checkOptions("flash", options, RULES);
}
