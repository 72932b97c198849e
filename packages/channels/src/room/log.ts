import { type Bus, compareCursors, type Gap, type Meta, type Subscription } from "@lanai/pubsub";
import { type Frame, frameOf } from "../frame.ts";

/** A place in a channel: a message, or a gap between two. */
export interface Entry {
  /** The cursor of a retained message. */
  readonly cursor: string | undefined;
  readonly frame: Frame;
}

export interface LogOptions {
  readonly bus: Bus;
  readonly subject: string;
  /** The name of the channel in frames. */
  readonly key: string;
  /** The most messages that are kept for those who come back or are slow. */
  readonly recent: number;
  /** Whether a gap of the subscription is one of the channel. */
  readonly showsGaps: boolean;
  /** The event and data of a message; `undefined` for one that is none of the channel's. */
  readonly read: (data: unknown) => { readonly e: string; readonly d: unknown } | undefined;
  readonly onEntry: (entry: Entry, seq: number) => void;
  /** The subscription has ended by itself. */
  readonly onLost: () => void;
  /** A message that can't be read, or that failed a check. */
  readonly onError: (error: unknown) => void;
}

/** Messages that are read at once of those that are too old to be kept here. */
export const PAGE = 200;

function isNotRetained(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === "ERR_PUBSUB_NOT_RETAINED" || code === "ERR_PUBSUB_NO_STREAMS";
}

const isLost = (error: unknown): boolean =>
  (error as { code?: unknown } | null)?.code === "ERR_PUBSUB_CURSOR";

/**
 * The one subscription of a process to a channel, and the last of what came, numbered from 0. Whoever
 * is behind reads on from here, or by a cursor from the bus.
 */
export class Log {
  readonly #options: LogOptions;
  #subscription: Subscription | undefined;
  #entries: Entry[] = [];
  #first = 0;
  /** The place before the first entry: nothing that is retained lies between. */
  #start: string | undefined;
  #isClosed = false;
  readonly #pages = new Map<string, Promise<readonly Entry[] | undefined>>();

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** The number of the oldest entry that is kept. */
  get first(): number {
    return this.#first;
  }

  /** The number that the next entry will have. */
  get next(): number {
    return this.#first + this.#entries.length;
  }

  at(seq: number): Entry | undefined {
    return this.#entries[seq - this.#first];
  }

  /** The position after the last message; `undefined` if nothing is retained. */
  get cursor(): string | undefined {
    return this.#entries.findLast((it) => it.cursor !== undefined)?.cursor ?? this.#start;
  }

  /** Whether what came last is at this cursor or after it. */
  hasReached(cursor: string): boolean {
    const { cursor: last } = this;
    return last !== undefined && (compareCursors(last, cursor) ?? -1) >= 0;
  }

  /** Whether the log goes on from just this place: it isn't behind it, and has no other message there. */
  knows(cursor: string): boolean {
    const place = this.#find(cursor)?.place;
    if (place === undefined) return false;
    if (place === cursor) return true;
    // The same position with another text: the stream was restored from before it.
    return compareCursors(place, cursor) !== 0 && this.hasReached(cursor);
  }

  /** The number of what follows on a cursor; `undefined` if that is too old to be known here. */
  after(cursor: string): number | undefined {
    return this.#find(cursor)?.next;
  }

  /** The last place that isn't after a cursor, and the number of what follows on it. */
  #find(cursor: string): { readonly place: string; readonly next: number } | undefined {
    const isBefore = (place: string): boolean => (compareCursors(place, cursor) ?? 1) <= 0;
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const { cursor: place } = this.#entries[i] as Entry;
      if (place !== undefined && isBefore(place)) return { place, next: this.#first + i + 1 };
    }
    const place = this.#start;
    return place !== undefined && isBefore(place) ? { place, next: this.#first } : undefined;
  }

  /** The number with which the last `count` retained messages begin. */
  last(count: number): number {
    let begin = this.next;
    for (let seq = begin - 1, left = count; left > 0 && seq >= this.#first; seq--) {
      if (this.at(seq)?.cursor === undefined) continue;
      left -= 1;
      begin = seq;
    }
    return begin;
  }

  /** Resolves when the last messages are here, and every later one will be. */
  async open(): Promise<void> {
    const { bus, subject, recent, onLost, onError } = this.#options;
    const held: [unknown, Meta][] = [];
    let isHeld = true;
    const subscription = await bus.subscribe(
      subject,
      (data, meta) => (isHeld ? void held.push([data, meta]) : this.#receive(data, meta)),
      { onError, onGap: (gap) => this.#gap(gap) },
    );
    this.#subscription = subscription;
    if (this.#isClosed) return subscription.unsubscribe();
    const { cursor: start } = subscription;
    this.#start = start;
    try {
      const before = await bus.history(subject, recent, { onError });
      for (const { data, id } of before) {
        const isBefore = start === undefined || (compareCursors(id ?? "", start) ?? 1) <= 0;
        if (isBefore) this.#add(data, id, false);
      }
      if (this.#entries.length > 0) this.#start = undefined;
    } catch (error) {
      if (!isNotRetained(error)) {
        await this.close();
        throw error;
      }
    }
    isHeld = false;
    for (const [data, meta] of held) this.#receive(data, meta);
    void subscription.closed.then(() => !this.#isClosed && onLost());
  }

  #receive(data: unknown, { id }: Meta): void {
    // What was on its way when the history was read is there already.
    const { cursor } = this;
    const order = id === undefined || cursor === undefined ? 1 : (compareCursors(id, cursor) ?? 1);
    if (order > 0) this.#add(data, id, true);
  }

  #add(data: unknown, cursor: string | undefined, isNew: boolean): void {
    const frame = this.#frameOf(data, cursor);
    if (frame !== undefined) this.#push({ cursor, frame }, isNew);
  }

  #gap({ reason, count }: Gap): void {
    const { key: k, showsGaps } = this.#options;
    if (!showsGaps) return;
    this.#push({ cursor: undefined, frame: frameOf("gap", { k, reason, count }) }, true);
  }

  #push(entry: Entry, isNew: boolean): void {
    this.#entries.push(entry);
    if (this.#entries.length > this.#options.recent) {
      const [oldest] = this.#entries.splice(0, 1);
      this.#first += 1;
      this.#start = oldest?.cursor;
    }
    if (isNew) this.#options.onEntry(entry, this.next - 1);
  }

  #frameOf(data: unknown, c: string | undefined): Frame | undefined {
    const { key: k, read } = this.#options;
    const message = read(data);
    return message && frameOf("event", { k, ...message, c });
  }

  /**
   * Reads from the bus the first messages after a cursor: `undefined` if it can't be resumed. Those who
   * ask for the same at once share one reading.
   */
  page(cursor: string): Promise<readonly Entry[] | undefined> {
    let page = this.#pages.get(cursor);
    if (page === undefined) {
      page = this.#page(cursor).finally(() => this.#pages.delete(cursor));
      this.#pages.set(cursor, page);
    }
    return page;
  }

  async #page(since: string): Promise<readonly Entry[] | undefined> {
    const { bus, subject, onError } = this.#options;
    try {
      const entries: Entry[] = [];
      for (const { data, id } of await bus.history(subject, PAGE, { since, onError })) {
        // What is none of the channel's moves the place on all the same.
        entries.push({ cursor: id, frame: this.#frameOf(data, id) ?? NOTHING });
      }
      return entries;
    } catch (error) {
      if (isLost(error) || isNotRetained(error)) return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#subscription?.unsubscribe();
  }
}

/** The frame of a message that no page is sent. */
export const NOTHING: Frame = frameOf("nothing");
