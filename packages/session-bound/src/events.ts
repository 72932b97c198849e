import { type Events, eventsOf, type LeveledEvent } from "@lanai/connection/events";

/**
 * An event of a device-bound session, on `node:diagnostics_channel`. Subscribe to
 * `lanai:bound:<name>`; the library itself logs nothing. An event holds no cookie, challenge or key.
 */
export interface BoundEvent extends LeveledEvent {
  /** The public id of the session. */
  readonly session?: string;
  /** The reason: a word of this package, or of the browser for `skipped`. */
  readonly reason?: string;
}

const NAMES = [
  /** A session was bound to a key. */
  "registered",
  /** A browser has proved that it holds the key, and got another cookie. */
  "refreshed",
  /** A request, a registration or a proof was refused. */
  "refused",
  /** A request said that its browser has skipped a refresh; `level` is `warn` if it passed for it. */
  "skipped",
  /** A live connection was ended, because its proof is too old. */
  "ended",
] as const;

/** The name of an event on `node:diagnostics_channel`, after `lanai:bound:`. */
export type BoundEventName = (typeof NAMES)[number];

export const events: Events<Record<BoundEventName, BoundEvent>> = eventsOf("lanai:bound", NAMES);
