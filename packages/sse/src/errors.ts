import { CodedError } from "@lanai/connection/errors";

/** The code of an {@link SseError}. Codes don't change between versions; messages may. */
export type SseErrorCode =
  /** The client came back with a cursor that no server can have sent. Status 400. */
  | "ERR_SSE_LAST_EVENT_ID"
  /** The request is a WebSocket handshake, whose upgrade a proxy may have dropped. Status 426. */
  | "ERR_SSE_UPGRADE_LOST"
  /** `ctx.sse()` was called after the response head has left. */
  | "ERR_SSE_SENT";

/** A failed stream. Recognised by its `code`, also between two copies of this package. */
export class SseError extends CodedError<SseErrorCode> {
  override readonly name = "SseError";
}
