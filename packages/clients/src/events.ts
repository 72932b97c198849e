import { channel } from "node:diagnostics_channel";

/**
 * What live connections look like from outside, on `node:diagnostics_channel`. Subscribe to
 * `lanai:clients:<name>`; nothing is logged by itself. An event holds no secret, token or data.
 */
export interface ClientsEvent {
  readonly level: "info" | "warn" | "error";
  readonly listener?: string;
  /** The public id of the client. */
  readonly client?: string;
  /** The public id of the session. */
  readonly session?: string;
  readonly reason?: string;
  readonly error?: unknown;
}

export type ClientsEventName =
  /** A listener is live. */
  | "attached"
  /** A listener has ended; `reason` says why. */
  | "ended"
  /** Messages for a listener were dropped, or it was ended for being slow. */
  | "slow"
  /** The bus can't be reached (`reason: 'down'`), or can be again (`'up'`). */
  | "bus"
  /** A handler of a message, or of a presence event, has failed. */
  | "error";

const named = (name: ClientsEventName) => channel(`lanai:clients:${name}`);

const channels = {
  attached: named("attached"),
  ended: named("ended"),
  slow: named("slow"),
  bus: named("bus"),
  error: named("error"),
} as const satisfies Record<ClientsEventName, unknown>;

export function report(name: ClientsEventName, event: ClientsEvent): void {
  const { [name]: subscribed } = channels;
  if (subscribed.hasSubscribers) subscribed.publish(event);
}
