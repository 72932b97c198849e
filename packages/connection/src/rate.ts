import { integer, nested, oneOf, or, type Rule } from "./options.ts";

/** A rate limit of what one client sends. */
export interface RateOptions {
  /** The most messages a second, on average. An integer from 1 to 1,000,000, or `Infinity`. */
  readonly messages?: number;
  /** The most bytes a second, on average. An integer from 1 to 2^31 - 1, or `Infinity`. */
  readonly bytes?: number;
  /**
   * The reaction when a client sends more: `pause` stops reading until its average is within the
   * limit, so that it feels back-pressure and loses nothing; `close` ends the connection with 1013.
   */
  readonly overflow?: "pause" | "close";
}

/** The rate limit of a live connection. */
export const RATE_DEFAULTS: Required<RateOptions> = {
  messages: 500,
  bytes: 1_048_576,
  overflow: "pause",
};

/** The rule of the option `rate`. */
export const RATE: Rule = nested<RateOptions>({
  messages: or(integer(1, 1_000_000, "messages a second"), Infinity),
  bytes: or(integer(1, 2 ** 31 - 1, "bytes a second"), Infinity),
  overflow: oneOf("pause", "close"),
});

const now = (): number => performance.now();

/**
 * A token bucket for messages and one for bytes. Each holds what one second allows; a message that
 * exceeds it is accepted, and the debt has to be waited out.
 */
export class RateMeter {
  readonly #messages: number;
  readonly #bytes: number;
  readonly #clock: () => number;
  /**
   * The time when each bucket is full again, in milliseconds of the clock: one number says how full
   * it is.
   */
  #messagesAt = 0;
  #bytesAt = 0;

  /** @param clock - Milliseconds from any fixed instant. Default: `performance.now`. */
  constructor({ messages = Infinity, bytes = Infinity }: RateOptions, clock: () => number = now) {
    this.#messages = messages;
    this.#bytes = bytes;
    this.#clock = clock;
  }

  /** Counts a message, and returns for how many milliseconds no other should follow: 0 if any may. */
  take(bytes: number): number {
    const at = this.#clock();
    this.#messagesAt = Math.max(this.#messagesAt, at) + 1_000 / this.#messages;
    this.#bytesAt = Math.max(this.#bytesAt, at) + (1_000 * bytes) / this.#bytes;
    return Math.max(0, Math.max(this.#messagesAt, this.#bytesAt) - at - 1_000);
  }
}
