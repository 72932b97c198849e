import { type Events, eventsOf } from "@lanai/connection/events";

/**
 * An event of live connections on `node:diagnostics_channel`, named `lanai:clients:<name>`. Nothing is
 * logged by itself. An event holds no secret, token or data.
 */
export interface ClientsEvent {
  /** The importance: `warn` and `error` deserve attention. */
  readonly level: "info" | "warn" | "error";
  readonly listener?: string;
  /** The public id of the client. */
  readonly client?: string;
  /** The public id of the session. */
  readonly session?: string;
  readonly reason?: string;
  /** The name of the browser's message, for `unheard`. */
  readonly event?: string;
  readonly error?: unknown;
}

const NAMES = [
  /** A listener is live. */
  "attached",
  /** A listener has ended; `reason` says why. */
  "ended",
  /** Messages for a listener were dropped, or it was ended for being slow. */
  "slow",
  /**
   * A browser's message had no handler when the request's handler had settled (`reason: 'dropped'`), or
   * when 256 KiB waited for handlers (`'held'`). Once a minute each.
   */
  "unheard",
  /** A live connection was refused: the process has `maxPerProcess` of them. Once a minute. */
  "full",
  /** A note of the bus was refused; `reason` says why. Once a minute each. */
  "refused",
  /** The app set caching that would give a browser's client cookie to others. Once a minute. */
  "cacheable",
  /** The bus is unreachable (`reason: 'down'`), or reachable again (`'up'`). */
  "bus",
  /** A handler of a message, or of a presence event, has failed. */
  "error",
] as const;

/** The name of an event on `node:diagnostics_channel`, after `lanai:clients:`. */
export type ClientsEventName = (typeof NAMES)[number];

export const events: Events<Record<ClientsEventName, ClientsEvent>> = eventsOf(
  "lanai:clients",
  NAMES,
);
