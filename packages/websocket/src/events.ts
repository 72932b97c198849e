import { type Events, eventsOf } from "@lanai/connection/events";

/** The data of this package's events on `node:diagnostics_channel`. */
export interface WebSocketEvent {
  readonly level: "warn";
  /** Explains what happened, and which setting to look at. */
  readonly message: string;
  /** The request's `Origin`, at most 256 characters, for `origin-refused`. */
  readonly got?: string;
  /** The accepted origins, for `origin-refused`. */
  readonly expected?: readonly string[];
}

/** The name of an event on `node:diagnostics_channel`, after `lanai:websocket:`. */
export type WebSocketEventName =
  /** A page of another origin tried to connect, and received a 403. */
  | "origin-refused"
  /** A handshake received a 503 because the server has `maxSockets` WebSockets. */
  | "full"
  /** A WebSocket handshake came as a plain request, and received a 426. */
  | "upgrade-lost"
  /** A message was dropped because the handler has returned and nobody listens. */
  | "unheard"
  /** A socket was closed because nobody listened to its messages in time. */
  | "held-too-long";

/** `lanai:websocket:<name>`: each at most once a minute for each cause. */
export const events: Events<Record<WebSocketEventName, WebSocketEvent>> = eventsOf(
  "lanai:websocket",
  ["origin-refused", "full", "upgrade-lost", "unheard", "held-too-long"],
);
