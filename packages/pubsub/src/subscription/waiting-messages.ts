import type { Gap, Message } from "../pubsub.ts";
import type { FailureReports } from "./failure-reports.ts";
import { Fifo } from "./fifo.ts";
import type { QueueLimits } from "./subscribe-options.ts";

/** A message that waits for the handler, or a gap that is reported when its turn comes. */
export type WaitingItem =
  | { readonly message: Message; readonly gap?: undefined }
  | { readonly message?: undefined; readonly gap: Gap };

/**
 * The messages that wait for the handler of one subscription, in the order of delivery.
 *
 * - History comes before live messages, and a gap is reported at the place of the missing messages.
 * - At most `limit` live messages of at most `bytes` together wait, or one message. History isn't
 *   counted: it is read only while {@link hasRoom} allows it.
 * - Messages that were dropped are counted until the next {@link take}, which returns them as one gap.
 */
export class WaitingMessages {
  readonly #limits: QueueLimits;
  readonly #reports: FailureReports;
  readonly #history = new Fifo<WaitingItem>();
  readonly #live = new Fifo<WaitingItem>();
  #liveMessages = 0;
  #liveBytes = 0;
  #dropped = 0;

  /** @param reports - Reports a gap whose place in the queue was taken by newer messages. */
  constructor(limits: QueueLimits, reports: FailureReports) {
    this.#limits = limits;
    this.#reports = reports;
  }

  get isEmpty(): boolean {
    return this.#history.length + this.#live.length + this.#dropped === 0;
  }

  /** Whether more history may be read: at most half of the queue's limit waits. */
  get hasRoom(): boolean {
    return this.#history.length <= this.#limits.limit / 2;
  }

  addHistory(message: Message): void {
    this.#history.push({ message });
  }

  /** Returns `false`, and adds nothing, if the queue is full and its policy is `close`. */
  addLive(message: Message): boolean {
    const { limit, bytes, overflow } = this.#limits;
    const size = sizeOf(message);
    while (this.#liveMessages > 0 && !this.#fits(size, limit, bytes)) {
      if (overflow === "close") return false;
      this.#dropOldest();
    }
    this.#live.push({ message });
    this.#liveMessages += 1;
    this.#liveBytes += size;
    return true;
  }

  /** Adds a gap after all that waits, unless the last that waits is the same gap. */
  addGap(gap: Gap): void {
    const queue = this.#live.length > 0 ? this.#live : this.#history;
    // A connection that comes and goes while a handler is busy is one gap.
    if (gap.count === undefined && queue.last?.gap?.reason === gap.reason) return;
    queue.push({ gap });
  }

  /** Counts messages that were dropped before they could be added. */
  drop(count: number): void {
    this.#dropped += count;
  }

  /**
   * Makes what is live a part of history: what is read from now on comes after it. Returns `false`,
   * and changes nothing, if that is too much and the policy is `close`.
   */
  setLiveAside(): boolean {
    // A connection that comes and goes while a handler is stuck must not pile up messages.
    const isFull = this.#history.length > this.#limits.limit;
    if (isFull && this.#liveMessages > 0 && this.#limits.overflow === "close") return false;
    for (let next = this.#live.shift(); next; next = this.#live.shift()) {
      if (next.message && isFull) this.#dropped += 1;
      else this.#history.push(next);
    }
    this.#liveMessages = 0;
    this.#liveBytes = 0;
    return true;
  }

  /** Takes the next: a message, a gap, or how many messages were dropped since the last call. */
  take(): WaitingItem | number | undefined {
    const past = this.#history.shift();
    if (past) return past;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped > 0 ? dropped : this.#takeLive();
  }

  clear(): void {
    this.#history.clear();
    this.#live.clear();
    this.#liveMessages = 0;
    this.#liveBytes = 0;
    this.#dropped = 0;
  }

  #fits(size: number, limit: number, bytes: number): boolean {
    return this.#liveMessages < limit && this.#liveBytes + size <= bytes;
  }

  #dropOldest(): void {
    const oldest = this.#takeLive();
    if (oldest?.message) this.#dropped += 1;
    else if (oldest) {
      // Not now: the callback may publish, while a message is on its way to others.
      queueMicrotask(() => this.#reports.callOnGap(oldest.gap));
    }
  }

  #takeLive(): WaitingItem | undefined {
    const next = this.#live.shift();
    if (next?.message) {
      this.#liveMessages -= 1;
      this.#liveBytes -= sizeOf(next.message);
    }
    return next;
  }
}

/** The bytes of a payload, or the UTF-16 code units of a text. */
export const sizeOf = ({ data }: Message): number => data.length;
