import { channel } from "node:diagnostics_channel";

/**
 * What a session's life looks like from outside, on `node:diagnostics_channel`. Subscribe to
 * `lanai:session:<name>`; nothing is logged by itself. An event holds no id, token, key or value.
 */
export interface SessionEvent {
  readonly level: "info" | "warn" | "error";
  /** The manager's `property`: which session of the request. A tracker doesn't know it. */
  readonly property?: string;
  readonly publicId?: string;
  /** Why: `malformed`, `unknown`, `expired`, a tracker's own word. */
  readonly reason?: string;
  /** Of `unavailable`: the error, with the store's own as its cause. */
  readonly error?: unknown;
  /** What to do about it. */
  readonly message?: string;
}

export type SessionEventName =
  /** A session was stored for the first time. */
  | "created"
  /** It moved to a new id. */
  | "renewed"
  /** It was ended. */
  | "destroyed"
  /** A change came after the session's end and was not applied. */
  | "gone"
  /** A request that bore a renewed id set something: nothing was stored. */
  | "dropped"
  /** What a request brought was not accepted: it is anonymous. */
  | "refused"
  /** The store failed, or took too long. */
  | "unavailable"
  /** A proxy received the request over HTTPS, and the app took it for plain HTTP. */
  | "insecure";

const named = (name: SessionEventName) => channel(`lanai:session:${name}`);

const channels = {
  created: named("created"),
  renewed: named("renewed"),
  destroyed: named("destroyed"),
  gone: named("gone"),
  dropped: named("dropped"),
  refused: named("refused"),
  unavailable: named("unavailable"),
  insecure: named("insecure"),
} as const satisfies Record<SessionEventName, unknown>;

export function publish(name: SessionEventName, event: SessionEvent): void {
  const { [name]: subscribed } = channels;
  if (subscribed.hasSubscribers) subscribed.publish(event);
}
