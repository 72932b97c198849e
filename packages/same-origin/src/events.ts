import { type Events, eventsOf } from "@lanai/connection/events";
import type { RefusalReason } from "@lanai/connection/same-origin";

/** A refused request, on `node:diagnostics_channel`. */
export interface SameOriginEvent {
  readonly level: "warn";
  readonly reason: RefusalReason;
  /** Explains the refusal, and which setting to look at. */
  readonly message: string;
  /** The request's `Sec-Fetch-Site`, at most 256 characters. */
  readonly site?: string;
  /** The request's `Origin`, at most 256 characters. */
  readonly got?: string;
  /** The origin that the request was sent to. */
  readonly expected?: string;
}

/** The name of an event on `node:diagnostics_channel`, after `lanai:same-origin:`. */
export type SameOriginEventName =
  /** A request received a 403. */
  "refused";

/** `lanai:same-origin:refused`: at most once a minute for each reason. */
export const events: Events<Record<SameOriginEventName, SameOriginEvent>> = eventsOf(
  "lanai:same-origin",
  ["refused"],
);
