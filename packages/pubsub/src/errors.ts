import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link PubSubError}. Codes don't change between versions; messages may. */
export type PubSubErrorCode =
  /** A subject, pattern or stream name that can't be. `index` says where. Status 400. */
  | "ERR_PUBSUB_SUBJECT"
  /** `replay`, `since` or `history` on what isn't wholly inside one stream. */
  | "ERR_PUBSUB_NOT_RETAINED"
  /** `since` of `history` can't be resumed: unknown, malformed, or older than what is retained. */
  | "ERR_PUBSUB_CURSOR"
  /** A stream can't be made, or not changed like this. */
  | "ERR_PUBSUB_STREAM"
  /** The backend has no streams. */
  | "ERR_PUBSUB_NO_STREAMS"
  /** The broker can't be reached, or didn't answer. Status 503; `cause` says why. */
  | "ERR_PUBSUB_UNAVAILABLE"
  /** A call after `close`. Status 503. */
  | "ERR_PUBSUB_CLOSED"
  /** A subscriber didn't keep up, and its subscription was closed. */
  | "ERR_PUBSUB_SLOW"
  /** A handler threw or rejected; `cause` has the value. */
  | "ERR_PUBSUB_HANDLER"
  /** A value that was published can't be encoded. */
  | "ERR_PUBSUB_ENCODE"
  /** A message is not JSON, or not what the schema asks for. */
  | "ERR_PUBSUB_DECODE"
  /** A message is larger than the broker takes. Status 413. */
  | "ERR_PUBSUB_TOO_LARGE"
  /** Two buses want the same `property` of one request. */
  | "ERR_PUBSUB_PROPERTY_TAKEN";

export interface PubSubErrorOptions extends ErrorOptions {
  /** The place of the fault in the subject, in UTF-16 code units from 0, for `ERR_PUBSUB_SUBJECT`. */
  readonly index?: number;
}

const STATUS: Partial<Record<PubSubErrorCode, number>> = {
  ERR_PUBSUB_SUBJECT: 400,
  ERR_PUBSUB_UNAVAILABLE: 503,
  ERR_PUBSUB_CLOSED: 503,
  ERR_PUBSUB_TOO_LARGE: 413,
};

/**
 * A failed operation of pub/sub. Known by its `code`, also between two copies of this package. It
 * holds no payload.
 */
export class PubSubError extends CodedError<PubSubErrorCode> {
  declare readonly index?: number;

  constructor(code: PubSubErrorCode, message: string, options: PubSubErrorOptions = {}) {
    const { index, ...details } = options;
    super(code, message, { ...details, status: STATUS[code] ?? 500 });
    this.name = "PubSubError";
    if (index !== undefined) this.index = index;
  }
}

/** Makes the error of every call after `close`. */
export function closedError(): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_CLOSED",
    "pub/sub has been closed: nothing comes or goes any more",
  );
}

/** Returns the error of a subject that no stream retains as a whole: `ERR_PUBSUB_NOT_RETAINED`. */
export function notRetained(subject: string): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_NOT_RETAINED",
    `no stream retains all of ${subject}: call ensureStream first, and ask for what is inside one`,
  );
}

/** Returns the error of a cursor that can't be resumed: `ERR_PUBSUB_CURSOR`. */
export function cursorLost(subject: string): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_CURSOR",
    `the cursor given for ${subject} can't be resumed: read the last messages without it`,
  );
}

/** Returns the error of a stream whose subjects another stream retains: `ERR_PUBSUB_STREAM`. */
export function streamOverlap(subject: string, other: string, stream: string): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_STREAM",
    `${subject} overlaps with ${other}, which the stream ${stream} retains: a subject has one stream`,
  );
}
