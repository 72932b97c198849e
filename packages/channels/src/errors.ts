import { CodedError, type ErrorDetails } from "@lanai/connection/errors";

/** The code of a {@link ChannelsError}. Codes don't change between versions; messages may. */
export type ChannelsErrorCode =
  /** No channel is declared under this pattern, or its parameters aren't those of the pattern. */
  | "ERR_CHANNELS_UNKNOWN"
  /** Data that its schema refuses, or that is no JSON. */
  | "ERR_CHANNELS_DATA"
  /** Not every process has confirmed, or the bus is unreachable. Status 503. */
  | "ERR_CHANNELS_UNAVAILABLE"
  /** The app has no middleware for the kind of connection that a page asked for. Status 501. */
  | "ERR_CHANNELS_NO_TRANSPORT"
  /** A proxy has dropped the upgrade from a WebSocket handshake. Status 426. */
  | "ERR_CHANNELS_UPGRADE_LOST"
  /** A call after `close`. Status 503. */
  | "ERR_CHANNELS_CLOSED";

/** A failed operation of channels. It is recognised by its `code`, and holds no data. */
export class ChannelsError extends CodedError<ChannelsErrorCode> {
  override readonly name = "ChannelsError";

  constructor(code: ChannelsErrorCode, message: string, details: ErrorDetails = {}) {
    super(code, message, details);
  }
}

export const unavailable = (message: string, cause?: unknown): ChannelsError =>
  new ChannelsError("ERR_CHANNELS_UNAVAILABLE", message, { status: 503, cause });
