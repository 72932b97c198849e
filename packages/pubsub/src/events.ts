import { type Events, eventsOf } from "@lanai/connection/events";

/**
 * An event of pub/sub on `node:diagnostics_channel`. Subscribe to
 * `lanai:pubsub:<name>`; nothing is logged by itself. An event holds no payload and no cursor.
 */
export interface PubSubEvent {
  /** The importance: `warn` and `error` deserve attention. */
  readonly level: "info" | "warn" | "error";
  /** The subject of the subscription, stream or message concerned. */
  readonly subject?: string;
  /** The reason for the gap. */
  readonly reason?: string;
  /** The number of messages that are missing in a gap, if it is known. */
  readonly count?: number;
  readonly error?: unknown;
  readonly message?: string;
}

/** The name of an event on `node:diagnostics_channel`, after `lanai:pubsub:`. */
export type PubSubEventName =
  /** A subscription began. */
  | "subscribed"
  /** One ended, for whatever reason. */
  | "unsubscribed"
  /** Messages are missing, or may be. */
  | "gap"
  /** A handler failed, a message could not be decoded, a subscription was closed for its slowness. */
  | "error"
  /** The connection to the broker was lost. */
  | "disconnected"
  /** It is there again, and every subscription too. */
  | "reconnected"
  /** A stream was made or changed. */
  | "stream";

const NAMES = [
  "subscribed",
  "unsubscribed",
  "gap",
  "error",
  "disconnected",
  "reconnected",
  "stream",
] as const satisfies readonly PubSubEventName[];

/** The events of pub/sub, of its backends too. */
export const events: Events<Record<PubSubEventName, PubSubEvent>> = eventsOf("lanai:pubsub", NAMES);

/** Emits an event, if anybody has subscribed to its name. */
export function emitEvent(name: PubSubEventName, event: PubSubEvent): void {
  events.emit(name, event);
}
