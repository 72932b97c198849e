import { type Events, eventsOf } from "@lanai/connection/events";
import type { JwtError } from "./errors.ts";

/** The event `lanai:session-jwt:stale` on `node:diagnostics_channel`: the last keys stay in use. */
export interface JwtKeysStale {
  readonly level: "error";
  /** Has what the app's function threw as its cause. */
  readonly error: JwtError;
}

/**
 * The event `lanai:session-jwt:superseded`: a token was used after its successor, within its own life.
 * Once a minute for each session.
 */
export interface JwtSuperseded {
  readonly level: "warn";
  readonly publicId: string;
  readonly message: string;
}

export const events: Events<{ stale: JwtKeysStale; superseded: JwtSuperseded }> = eventsOf(
  "lanai:session-jwt",
  ["stale", "superseded"],
);
