import { channel } from "node:diagnostics_channel";

/**
 * What happens in pub/sub, seen from outside, on `node:diagnostics_channel`. Subscribe to
 * `lanai:pubsub:<name>`; nothing is logged by itself. An event holds no payload and no cursor.
 */
export interface PubSubEvent {
  readonly level: "info" | "warn" | "error";
  /** Of the subscription, stream or message concerned. */
  readonly subject?: string;
  /** Of a gap: why. */
  readonly reason?: string;
  /** Of a gap: how many messages are missing, where that is known. */
  readonly count?: number;
  readonly error?: unknown;
  readonly message?: string;
}

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

const named = (name: PubSubEventName) => channel(`lanai:pubsub:${name}`);

const channels = {
  subscribed: named("subscribed"),
  unsubscribed: named("unsubscribed"),
  gap: named("gap"),
  error: named("error"),
  disconnected: named("disconnected"),
  reconnected: named("reconnected"),
  stream: named("stream"),
} as const satisfies Record<PubSubEventName, unknown>;

/** Tells those who watch; for backends too. */
export function emitEvent(name: PubSubEventName, event: PubSubEvent): void {
  const { [name]: watched } = channels;
  if (watched.hasSubscribers) watched.publish(event);
}
