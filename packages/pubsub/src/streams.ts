import type { Message, PubSub } from "./pubsub.ts";

/** A stream to make or change: the subjects that it retains, and its limits. */
export interface StreamConfig {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. */
  readonly name: string;
  /** Subjects and patterns to retain: at least one. No two streams may retain the same subject. */
  readonly subjects: readonly string[];
  /** Messages kept at most, over all subjects. From 1 to 10,000,000. Default: 1,000. */
  readonly maxMsgs?: number;
  /** The age at which a message is removed, in milliseconds, from 100. Default: `Infinity`. */
  readonly maxAge?: number;
}

/** The part of a subject's history to read. */
export interface HistoryRange {
  /**
   * Returns the first messages strictly after the one with this id, instead of the last ones of all.
   * Rejects with `ERR_PUBSUB_CURSOR` if that can't be resumed: unknown, malformed, or older than what
   * is retained.
   */
  readonly since?: string | undefined;
}

/**
 * The calls of a backend that can retain messages. If a limit is reached, the oldest messages are
 * removed first. Both limits are exact on read, also if nothing is published any more.
 *
 * A stream has one order over all its subjects. Its cursors hold an epoch: those of a stream that
 * was lost and made again are not resumed. A cursor is the epoch, `.` or `:`, and the position in the
 * stream in decimal digits, before which there may be an instant and `-`: see `compareCursors`.
 */
export interface Streams {
  /**
   * Makes a stream, or changes the limits and subjects of the one with this name; what is retained
   * already stays, as far as the new limits allow. The same again changes nothing. Call it when the
   * app starts, before it publishes.
   *
   * Rejects with `ERR_PUBSUB_STREAM` if it can't be: another stream retains one of the subjects, or
   * the backend can't make this change.
   */
  ensureStream(config: StreamConfig): Promise<void>;
  /**
   * The last `limit` retained messages of a subject, or of a pattern inside one stream, oldest
   * first; with `since`, the first `limit` after that. 0 returns none, `Infinity` all. Rejects with
   * `ERR_PUBSUB_NOT_RETAINED`.
   */
  history(subject: string, limit: number, range?: HistoryRange): Promise<Message[]>;
}

/** Whether a backend retains messages. */
export function hasStreams(backend: PubSub): backend is PubSub & Streams {
  const { ensureStream, history } = backend as Partial<Streams>;
  return typeof ensureStream === "function" && typeof history === "function";
}
