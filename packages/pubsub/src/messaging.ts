import type { PubSubError } from "./errors.ts";
import type { Event, EventStream } from "./json/event-stream.ts";
import type { StandardSchema } from "./json/standard-schema.ts";
import type { PublishOptions, PubSub, SubscribeOptions, Subscription } from "./pubsub.ts";
import type { HistoryRange, StreamConfig } from "./streams.ts";

/** A message without its data. */
export type Meta = Omit<Event, "data">;

/** Options of a subscription to JSON values. */
export interface TypedSubscribeOptions<T> extends SubscribeOptions {
  /** The schema of a message; one that doesn't match goes to `onError`, not to the handler. Default: none. */
  readonly schema?: StandardSchema<T>;
}

/** Options of `history`. Without `since` it returns the last messages. */
export interface HistoryOptions<T> extends HistoryRange {
  /** The schema of a message; one that doesn't match goes to `onError`. Default: none. */
  readonly schema?: StandardSchema<T>;
  /** Called for each message that can't be decoded, which is left out. Default: the bus's `onError`. */
  readonly onError?: (error: PubSubError, meta: Meta) => void;
}

/** Pub/sub for bytes. */
export interface RawMessaging {
  publish(subject: string, data: Uint8Array, options?: PublishOptions): Promise<void>;
  /** The bytes are the handler's own. */
  subscribe(
    subject: string,
    handler: (data: Uint8Array, meta: Meta) => unknown,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
}

/** The calls of pub/sub, which are the same on the bus and on `ctx.pubsub`. */
export interface Messaging {
  /**
   * Publishes a value as JSON. Resolves when it was handed over; on a retained subject, when it is
   * stored. Rejects with `ERR_PUBSUB_ENCODE` for what isn't JSON.
   */
  publish<T = unknown>(subject: string, data: T, options?: PublishOptions): Promise<void>;
  /**
   * Calls the handler for each message, one at a time. Resolves when whatever is published
   * afterwards will be seen.
   *
   * On `ctx.pubsub` it ends with the connection of the request.
   */
  subscribe<T = unknown>(
    subject: string,
    handler: (data: T, meta: Meta) => unknown,
    options?: TypedSubscribeOptions<T>,
  ): Promise<Subscription>;
  /**
   * The same as an async iterator. Subscribed at once; what isn't taken waits in the queue.
   *
   * @throws PubSubError, TypeError or RangeError for a wrong subject or option, here and now.
   */
  events<T = unknown>(subject: string, options?: TypedSubscribeOptions<T>): EventStream<T>;
  /**
   * The last `limit` retained messages, oldest first; with `since`, the first `limit` after that.
   * Rejects with `ERR_PUBSUB_NOT_RETAINED`, and with `ERR_PUBSUB_CURSOR` if `since` can't be resumed.
   */
  history<T = unknown>(
    subject: string,
    limit: number,
    options?: HistoryOptions<T>,
  ): Promise<Event<T>[]>;
  /** Makes a stream, or changes its limits and subjects: see `Streams`. */
  ensureStream(config: StreamConfig): Promise<void>;
  /** The same calls for bytes, without JSON. */
  readonly raw: RawMessaging;
  /** The backend that messages go through. */
  readonly backend: PubSub;
}
