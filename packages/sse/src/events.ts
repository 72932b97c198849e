import { type Events, eventsOf } from "@lanai/connection/events";

/** The data of this package's events on `node:diagnostics_channel`. */
export interface SseReport {
  readonly level: "warn";
  /** Explains what happened, and which setting to look at. */
  readonly message: string;
}

/** A WebSocket handshake came where an event stream is sent, and received a 426. */
export type SseReportName = "upgrade-lost";

/** `lanai:sse:<name>`: each at most once a minute. */
export const events: Events<Record<SseReportName, SseReport>> = eventsOf("lanai:sse", [
  "upgrade-lost",
]);
