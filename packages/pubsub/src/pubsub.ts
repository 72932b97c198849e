import type { PubSubError } from "./errors.ts";

/**
 * A payload: bytes, or a text that stands for its UTF-8 bytes. A text must be well-formed
 * Unicode. A backend hands over whichever of the two is cheaper for it; see `bytesOf` and `textOf`.
 */
export type Payload = Uint8Array | string;

/** A message as a backend delivers it. It never changes after it was handed out. */
export interface Message {
  /**
   * The cursor: an opaque line of at most 128 bytes to give as `since`, on the same subscription or
   * another of the same stream. `undefined` on a subject that no stream retains.
   */
  readonly id: string | undefined;
  /** The subject that it was published on, also where a pattern was subscribed. */
  readonly subject: string;
  readonly data: Payload;
  /** When it was stored; on a plain subject, when it came. Milliseconds since the epoch. */
  readonly time: number;
  /** Whether it was read from history: it was published before the subscription was live. */
  readonly replayed: boolean;
}

/**
 * Called for one message at a time: the next one waits until the promise that it returns has
 * settled. What it throws, or rejects with, goes to `onError`, and the next message still comes.
 */
export type Handler = (message: Message) => unknown;

/** Options of `publish`. */
export interface PublishOptions {
  /**
   * The unique name of the message. On a retained subject, a second publish under this name within
   * two minutes resolves without being stored or delivered. Up to 128 characters. Ignored on plain
   * subjects. Default: none.
   */
  readonly messageId?: string;
}

/** The bounds of a subscription's queue, and what happens if the subscriber doesn't keep up. */
export interface QueueOptions {
  /** The most live messages that wait for the handler. From 1 to 1,000,000. Default: 1,024. */
  readonly limit?: number;
  /**
   * The most bytes that these messages hold together, or one message. With `memoryPubSub`, which keeps
   * JSON as a text, its UTF-16 code units. Default: 16 MiB (16,777,216).
   */
  readonly bytes?: number;
  /**
   * With `close` the subscription ends with `ERR_PUBSUB_SLOW`: a retained subject can be resumed
   * with the cursor of what was handled last. With `drop-oldest` it goes on, and `onGap` is
   * called with how many are missing. Default: `close`.
   */
  readonly overflow?: "close" | "drop-oldest";
}

/** Messages that a subscription has missed, or may have. */
export interface Gap {
  /** The subscription's subject. */
  readonly subject: string;
  /**
   * - `cursor`: `since` could not be resumed: unknown, malformed, or older than what is retained.
   *   If `replay` was given too, it was served instead.
   * - `reconnect`: the connection to the broker was lost, and what was published meanwhile on plain
   *   subjects went by.
   * - `expired`: after a reconnect, the stream had already let go of what was missed, or is another.
   * - `overflow`: the queue was full, and its oldest messages were dropped.
   */
  readonly reason: "cursor" | "reconnect" | "expired" | "overflow";
  /** The number of messages that are missing, if it is known. */
  readonly count?: number;
}

/** Options of `subscribe` and `events`. */
export interface SubscribeOptions {
  /**
   * The number of retained messages to deliver first, oldest first, before live ones, without a gap, a
   * duplicate or a change of order. From 0; `Infinity` for all. Default: 0.
   */
  readonly replay?: number;
  /**
   * The id of the message after which to resume. It comes from clients, so any text is accepted: a
   * cursor that can't be resumed is reported by `recovered` and `onGap`. `replay` applies only if
   * `since` is missing or empty, or can't be resumed. Default: none.
   */
  readonly since?: string | undefined;
  /** Unsubscribes when it aborts. An abort is no error: the subscription is closed. */
  readonly signal?: AbortSignal | undefined;
  /** The queue of live messages that wait for the handler. */
  readonly queue?: QueueOptions;
  /**
   * Called once for each failure: of the handler (`ERR_PUBSUB_HANDLER`), of a message that can't be
   * decoded (`ERR_PUBSUB_DECODE`), and of why the subscription was closed (`ERR_PUBSUB_SLOW`,
   * `ERR_PUBSUB_UNAVAILABLE`). An exception of this callback is a warning of the process.
   */
  readonly onError?: (error: PubSubError, message?: Omit<Message, "data">) => void;
  /** Called for each gap, before the first message after it. */
  readonly onGap?: (gap: Gap) => void;
}

/** A subscription, from the moment when `subscribe` resolves until it is closed. */
export interface Subscription {
  /** The subject or pattern as it was given. */
  readonly subject: string;
  /** `syncing` while history is read, or the connection is lost; live messages wait meanwhile. */
  readonly status: "syncing" | "live" | "closed";
  /** Whether `since` was resumed. `undefined` if none was given. */
  readonly recovered: boolean | undefined;
  /**
   * The position up to which the handler was called; at first, the position at which the subscription
   * began, so that it can be resumed before any message too. `undefined` on plain subjects.
   */
  readonly cursor: string | undefined;
  /** Resolves when the subscription has ended, for whatever reason. It never rejects. */
  readonly closed: Promise<void>;
  /**
   * Ends the subscription. From the call on, the handler is not called again, and waiting messages are
   * dropped. Resolves when the backend has unsubscribed. A second call has no effect.
   */
  unsubscribe(): Promise<void>;
}

/**
 * A backend, which carries messages. They are bytes only: what they mean is for the layer above.
 *
 * - *Subjects* are validated by {@link validateSubject} before anything else happens, and matched by
 *   its rules. They are what an app sees: a backend adds its own prefix and takes it off.
 * - *At most once* on plain subjects: who isn't subscribed misses a message. A publisher that
 *   subscribes hears itself. Two subscriptions that match get one each, also with one handler.
 * - *In order*: messages of one publisher reach each subscription in the order of their publishes;
 *   those of one stream in the order of the stream.
 * - *Retained* subjects are those of a stream (see `Streams`); `replay` and `since` on a subject or
 *   pattern that isn't wholly inside one reject with `ERR_PUBSUB_NOT_RETAINED`.
 * - *Unreachable*: reject with `ERR_PUBSUB_UNAVAILABLE`; never pretend.
 * - *Closed*: every later call rejects with `ERR_PUBSUB_CLOSED`.
 */
export interface PubSub {
  /**
   * On a plain subject resolves when the message was handed to the broker. On a retained one, when
   * it is stored, once, also in a process that never called `ensureStream`. The bytes may be changed
   * afterwards, even before it resolves.
   */
  publish(subject: string, data: Payload, options?: PublishOptions): Promise<void>;
  /**
   * Resolves when whatever is published afterwards, anywhere, will be delivered. What was published
   * before and is still on its way from a broker may come too. It doesn't wait for the handler, nor
   * for history to be read to its end.
   */
  subscribe(subject: string, handler: Handler, options?: SubscribeOptions): Promise<Subscription>;
  /**
   * Ends every subscription, waits for publishes in progress and closes the connections that the
   * backend has opened, within a bounded time, also while the broker is unreachable. A second call
   * has no effect.
   */
  close(): Promise<void>;
}
