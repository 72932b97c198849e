import type { Message } from "@lanai/pubsub";

/** A place in a stream: behind the message with this id. */
export interface StreamPosition {
  readonly epoch: string;
  /** `<ms>-<count>` */
  readonly id: string;
  /** `NaN` where it doesn't matter whether something before it is missing. */
  readonly count: number;
  /** The number of messages that the stream has passed on without storing them. */
  readonly passed: number;
}

export interface StoredMessage {
  readonly id: string;
  readonly count: number;
  readonly subject: string;
  readonly data: Buffer;
}

/** Messages that were read from a stream at once. */
export interface StreamPage {
  readonly messages: readonly StoredMessage[];
  /** The position at which the page ends, whether or not the message there matches. */
  readonly last: StreamPosition;
  /** The counter of the first message that is retained, if there is one. */
  readonly first: number | undefined;
  /** The counter of the last message that there was. */
  readonly head: number;
  readonly isEnd: boolean;
  /** Whether the place before it was never there: the server has lost what it had. */
  readonly isUnknown: boolean;
}

export function countOf(id: string): number {
  return Number(id.slice(id.indexOf("-") + 1));
}

export function timeOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

export function cursorOf({ epoch, id }: StreamPosition): string {
  return `${epoch}:${id}`;
}

/** Returns the position that a cursor stands for, if it is one. It comes from clients. */
export function positionOf(cursor: string): StreamPosition | undefined {
  const [, epoch, id] = /^([\w-]{12}):(\d{1,15}-\d{1,15})$/.exec(cursor) ?? [];
  if (epoch === undefined || id === undefined) return undefined;
  return { epoch, id, count: countOf(id), passed: 0 };
}

/** Returns where a stream begins. */
export function beginningOf(epoch: string): StreamPosition {
  return { epoch, id: "0-0", count: 0, passed: 0 };
}

export function messageOf(epoch: string, stored: StoredMessage, replayed: boolean): Message {
  return {
    id: `${epoch}:${stored.id}`,
    subject: stored.subject,
    data: stored.data,
    time: timeOf(stored.id),
    replayed,
  };
}

/** Whether the stream has let go of something between a position and a page that was read after it. */
export function isMissingBefore(page: StreamPage, from: StreamPosition): boolean {
  return page.first === undefined ? page.head > from.count : page.first > from.count + 1;
}
