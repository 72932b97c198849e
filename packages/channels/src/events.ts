import { type Events, eventsOf } from "@lanai/connection/events";

/**
 * An event of channels on `node:diagnostics_channel`, named `lanai:channels:<name>`. Nothing is logged
 * by itself. An event holds no secret, token or data.
 */
export interface ChannelsEvent {
  readonly level: "info" | "warn" | "error";
  readonly reason?: string;
  /** Explains what happened, and which setting to look at. */
  readonly message?: string;
  /** The request's `Origin`, at most 256 characters, for `origin-refused`. */
  readonly got?: string;
  /** The accepted origins, for `origin-refused`. */
  readonly expected?: readonly string[];
}

const NAMES = [
  /** A note of another process was refused; `reason` says why. */
  "refused",
  /** The event stream or a post of a page of another origin received a 403. */
  "origin-refused",
  /** A WebSocket handshake came as a plain request, and received a 426. */
  "upgrade-lost",
] as const;

/** `lanai:channels:<name>`: each at most once a minute for each cause. */
export const events: Events<Record<(typeof NAMES)[number], ChannelsEvent>> = eventsOf(
  "lanai:channels",
  NAMES,
);
