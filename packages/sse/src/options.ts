import {
  checkOptions,
  integer,
  MAX_TIMER,
  or,
  type Rule,
  type Rules,
  value,
} from "@lanai/connection/options";
import { MOVED_TO_QUEUE, type QueueOptions, queueOf, queueRule } from "@lanai/connection/queue";

/** Options of one `ctx.sse()`; the defaults are the options of `sse()`. */
export interface SseStreamOptions {
  /**
   * The heartbeat: the interval of comments that keep proxies from ending a silent stream. Milliseconds,
   * an integer from 1 to 2^31 - 1; `Infinity`: never. Default: 15,000.
   */
  readonly heartbeat?: number;
  /**
   * The wait of a client that lost the connection before it reconnects, sent at the beginning.
   * Milliseconds, an integer from 0 to 2^31 - 1. Default: not sent; browsers wait some seconds.
   */
  readonly retry?: number;
  /**
   * The longest life of a stream, which is then ended: its client reconnects with the id of the last
   * event that it received. An event stream has no answer from its client, so this is the only sure way
   * to notice one that is gone. Each stream lives a random part of a tenth less, so that not all come
   * back at once. Milliseconds, an integer from 1 to 2^31 - 1; `Infinity`: no end. Default: 3,600,000
   * (an hour).
   */
  readonly lifetime?: number;
  /**
   * The queue of events that wait for a slow client. Defaults: `limit: 10_000`, `bytes: 1_048_576`,
   * `overflow: "close"`.
   */
  readonly queue?: QueueOptions;
}

/** Options of `sse`. Those of a stream are the defaults of `ctx.sse`. */
export interface SseOptions extends SseStreamOptions {
  /**
   * The query parameter that replaces `Last-Event-ID` if that header is missing, because a page that
   * makes a new `EventSource` can't send it. `false`: none. Default: `lastEventId`.
   */
  readonly lastEventIdQuery?: string | false;
  /**
   * The longest that the end of a stream waits for a client that doesn't read what was sent; then the
   * connection is cut. Milliseconds, an integer from 1 to 2^31 - 1. Default: 1,000.
   */
  readonly closeTimeout?: number;
}

/** Options of the middleware's `close()`. */
export interface CloseOptions {
  /**
   * Each client is asked to come back after a second and a random part of this time. Milliseconds, an
   * integer from 0 to 2^31 - 1. Default: 5,000.
   */
  readonly over?: number;
}

const milliseconds = (least: number): Rule => integer(least, MAX_TIMER, "milliseconds");

const STREAM: Rules<SseStreamOptions> = {
  heartbeat: or(milliseconds(1), Infinity),
  retry: milliseconds(0),
  lifetime: or(milliseconds(1), Infinity),
  queue: queueRule("events"),
};

const ALL: Rules<SseOptions> = {
  ...STREAM,
  lastEventIdQuery: value(
    "a name or false",
    (it) => it === false || (typeof it === "string" && it !== ""),
  ),
  closeTimeout: milliseconds(1),
};

export function validate(options: SseOptions): void {
  checkOptions("sse", options, ALL, MOVED_TO_QUEUE);
}

export function validateStream(options: SseStreamOptions): void {
  checkOptions("ctx.sse", options, STREAM, MOVED_TO_QUEUE);
}

export function validateClose(options: CloseOptions): void {
  checkOptions("sse().close", options, { over: milliseconds(0) });
}

/** The settings of one stream: the options, complete. */
export type StreamSettings = Required<
  Omit<SseStreamOptions, "queue" | "retry"> & { readonly closeTimeout: number }
> & {
  readonly retry: number | undefined;
  readonly queue: Required<QueueOptions>;
};

/** Returns the settings of a stream: from its own options, else from those of the mount. */
export function settingsOf(asked: SseStreamOptions, mounted: SseOptions): StreamSettings {
  return {
    heartbeat: asked.heartbeat ?? mounted.heartbeat ?? 15_000,
    retry: asked.retry ?? mounted.retry,
    lifetime: asked.lifetime ?? mounted.lifetime ?? 3_600_000,
    closeTimeout: mounted.closeTimeout ?? 1_000,
    queue: queueOf(asked.queue, queueOf(mounted.queue)),
  };
}
