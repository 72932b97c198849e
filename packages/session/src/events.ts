import { type Events, eventsOf } from "@lanai/connection/events";

/**
 * An event of a session's life, on `node:diagnostics_channel`. Subscribe to `lanai:session:<name>`;
 * nothing is logged unless you do. An event holds no id, token, key or value.
 */
export interface SessionEvent {
  /** The importance: `warn` and `error` deserve attention. */
  readonly level: "info" | "warn" | "error";
  /** The manager's `property`: which session of the request. A tracker doesn't know it. */
  readonly property?: string;
  /** Present whenever the event is about a session that was found or made. */
  readonly publicId?: string;
  /**
   * The public id of the session of whoever acts for the user, in what an impersonated session does, and
   * in its end, whoever has ended it.
   */
  readonly impersonator?: string;
  /** The reason: `malformed`, `unknown`, `expired`, or a tracker's own word. */
  readonly reason?: string;
  /** The error of `unavailable`, with the store's own as its cause. */
  readonly error?: unknown;
  /** The advice on what to change. */
  readonly message?: string;
}

const NAMES = [
  /** A session was stored for the first time. */
  "created",
  /** A session moved to a new id. */
  "renewed",
  /** A session was ended. */
  "destroyed",
  /** A change came after the session's end and was not applied. */
  "gone",
  /** A request set something by an id that had been renewed, and it was not stored. */
  "dropped",
  /** No token that a request brought was accepted: the request is anonymous. */
  "refused",
  /** The store failed, or took too long. */
  "unavailable",
  /** The app took an HTTPS request for plain HTTP, or sent a cookie that the browser can't keep. */
  "insecure",
  /** The app allowed shared caches to keep a response that sends an id; the permission was removed. */
  "cacheable",
] as const;

/** The name of an event on `node:diagnostics_channel`, after `lanai:session:`. */
export type SessionEventName = (typeof NAMES)[number];

export const events: Events<Record<SessionEventName, SessionEvent>> = eventsOf(
  "lanai:session",
  NAMES,
);
