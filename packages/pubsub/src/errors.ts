export type PubSubErrorCode =
  /** A subject, pattern or stream name that can't be. `index` says where. Status 400. */
  | "ERR_PUBSUB_SUBJECT"
  /** `replay`, `since` or `history` on what isn't wholly inside one stream. */
  | "ERR_PUBSUB_NOT_RETAINED"
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
  /** A handler threw or rejected; `cause` is with what. */
  | "ERR_PUBSUB_HANDLER"
  /** What was published can't be encoded. */
  | "ERR_PUBSUB_ENCODE"
  /** A message is not JSON, or not what the schema asks for. */
  | "ERR_PUBSUB_DECODE"
  /** A message is larger than the broker takes. Status 413. */
  | "ERR_PUBSUB_TOO_LARGE"
  /** Two buses want the same `property` of one request. */
  | "ERR_PUBSUB_PROPERTY_TAKEN";

export interface PubSubErrorOptions extends ErrorOptions {
  /** Of `ERR_PUBSUB_SUBJECT`: where, counted in UTF-16 code units from 0. */
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
export class PubSubError extends Error {
  readonly code: PubSubErrorCode;
  /** HTTP status that Koa answers with. */
  readonly status: number;
  /** Whether the message may be shown to the client. */
  readonly expose: boolean = false;
  declare readonly index?: number;

  constructor(code: PubSubErrorCode, message: string, options: PubSubErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "PubSubError";
    this.code = code;
    this.status = STATUS[code] ?? 500;
    if (options.index !== undefined) this.index = options.index;
  }
}

/** What every backend refuses alike. */
export const closedError = (): PubSubError =>
  new PubSubError("ERR_PUBSUB_CLOSED", "pub/sub has been closed: nothing comes or goes any more");

export const notRetained = (subject: string): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_NOT_RETAINED",
    `no stream retains all of ${subject}: call ensureStream first, and ask for what is inside one`,
  );

export const streamOverlap = (subject: string, other: string, stream: string): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_STREAM",
    `${subject} overlaps with ${other}, which the stream ${stream} retains: a subject has one stream`,
  );
