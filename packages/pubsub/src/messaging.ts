import type { PubSubError } from "./errors.ts";
import type { Event, EventStream } from "./event-stream.ts";
import type { PublishOptions, PubSub, SubscribeOptions, Subscription } from "./pubsub.ts";
import type { StandardSchema } from "./standard-schema.ts";
import type { StreamConfig } from "./streams.ts";

/** Of a message, all but what it says. */
export type Meta = Omit<Event, "data">;

export interface TypedSubscribeOptions<T> extends SubscribeOptions {
  /** What a message must be; one that isn't goes to `onError`, never to the handler. */
  readonly schema?: StandardSchema<T>;
}

export interface HistoryOptions<T> {
  readonly schema?: StandardSchema<T>;
  /** Told of each message that can't be decoded; it is left out. Default: the bus's `onError`. */
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

/** What an app does with pub/sub: the same on the bus and on `ctx.pubsub`. */
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
  /** The last `limit` retained messages, oldest first. Rejects with `ERR_PUBSUB_NOT_RETAINED`. */
  history<T = unknown>(
    subject: string,
    limit: number,
    options?: HistoryOptions<T>,
  ): Promise<Event<T>[]>;
  /** Makes a stream, or changes its limits and subjects: see `Streams`. */
  ensureStream(config: StreamConfig): Promise<void>;
  readonly raw: RawMessaging;
  /** What messages go through. */
  readonly backend: PubSub;
}
