import type { Message, PubSub } from "./pubsub.ts";

export interface StreamConfig {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. */
  readonly name: string;
  /** What is retained: at least one subject or pattern. No two streams may retain one subject. */
  readonly subjects: readonly string[];
  /** Messages kept at most, over all subjects. From 1 to 10,000,000. Default: 1,000. */
  readonly maxMsgs?: number;
  /** For how long one is kept, in milliseconds, from 100; `Infinity` for ever. Default: `Infinity`. */
  readonly maxAge?: number;
}

/**
 * What a backend that retains messages can do besides. The oldest go first (limits retention); both
 * limits are exact on read, also on a stream to which nothing is published any more.
 *
 * A stream has one order over all its subjects. Its cursors hold an epoch: those of a stream that
 * was lost and made again are not resumed.
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
   * first. 0 answers none, `Infinity` all. Rejects with `ERR_PUBSUB_NOT_RETAINED`.
   */
  history(subject: string, limit: number): Promise<Message[]>;
}

/** Whether a backend retains messages. */
export const hasStreams = (backend: PubSub): backend is PubSub & Streams => {
  const { ensureStream, history } = backend as Partial<Streams>;
  return typeof ensureStream === "function" && typeof history === "function";
};
