import { setTimeout as wait } from "node:timers/promises";
import { after, type Cancel } from "@lanai/connection/deadline";
import type { PubSubError } from "@lanai/pubsub";
import { outcomeUnknown, unavailable } from "../redis/client.ts";

export interface Outgoing {
  readonly subject: string;
  readonly data: string | Buffer;
  /** Empty for none. */
  readonly messageId: string;
  /** When the publish rejects, by `performance.now`. They grow. */
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: PubSubError) => void;
}

/** The result of sending a batch. */
export type Sent =
  /** All is done, but for the messages that failed, by their places in the batch. */
  | { readonly is: "done"; readonly failed?: ReadonlyMap<number, string> }
  /** All is done, but Redis has no memory left to remember its number. */
  | { readonly is: "forgot" }
  /** Redis has lost what it knew of this publisher: the batch may have been done before that. */
  | { readonly is: "lost" }
  /**
   * Nothing is done. These are to be sent again by this queue; the others have been moved to another.
   * `isNew`: Redis doesn't know this publisher any more.
   */
  | { readonly is: "unsent"; readonly left: readonly Outgoing[]; readonly isNew?: true };

/**
 * Sends a batch by its number. `floor` is the number of the last batch that is known to be done; 0 if
 * none is.
 */
export type Send = (batch: readonly Outgoing[], number: number, floor: number) => Promise<Sent>;

/** The messages that wait in all queues of a backend, and the number of batches that were sent. */
export interface QueueTotals {
  messages: number;
  bytes: number;
  batches: number;
}

export interface PublishQueueOptions {
  readonly send: Send;
  readonly totals: QueueTotals;
  /**
   * Whether the first batch is an empty one, so that Redis knows this publisher before there is
   * anything that could be done twice.
   */
  readonly opens: boolean;
  /** Called when a message has left the queue, whatever became of it. */
  readonly onLeft?: (message: Outgoing) => void;
  /** Called when nothing has been on its way for as long as a publisher waits. */
  readonly onRest?: () => void;
}

/** A script with so much doesn't hold up Redis. */
const AT_ONCE = 500;
const BYTES_AT_ONCE = 2 ** 20;
/** The longest wait before a batch is sent again because the streams have changed, in milliseconds. */
const LONGEST_WAIT = 64;
/**
 * Redis remembers the number of a publisher's last batch for ten minutes. One that has been silent
 * for half of that begins anew, in milliseconds.
 */
const REMEMBERED = 300_000;

/**
 * Messages on their way to Redis, one batch at a time: what is published while one is under way is
 * the next. So they stay in order, also if the client sends a batch again after a lost connection,
 * and Redis needs to remember no more than the number of the last.
 */
export class PublishQueue {
  readonly #options: PublishQueueOptions;
  #waiting: Outgoing[] = [];
  #underWay: readonly Outgoing[] = [];
  #running: Promise<void> | undefined;
  #cancelDeadline: Cancel | undefined;
  /** The number of the last batch that is known to be done, and when that was heard. */
  #floor: { readonly number: number; readonly at: number } | undefined;
  /** The number of attempts in a row that sent nothing because the streams had changed. */
  #unsent = 0;

  constructor(options: PublishQueueOptions) {
    this.#options = options;
  }

  push(message: Outgoing): void {
    this.#waiting.push(message);
    this.#count(message, 1);
    if (this.#cancelDeadline === undefined) this.#watchDeadlines();
    this.#running ??= this.#run();
  }

  /**
   * Begins anew before the next batch: the server may be another one, or have lost what it knew. A
   * batch that is under way stays what it is.
   */
  reopen(): void {
    this.#floor = undefined;
  }

  /** Whether a message on this subject waits to be sent. */
  hasWaiting(subject: string): boolean {
    return this.#waiting.some((message) => message.subject === subject);
  }

  /** Resolves when nothing is left. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Gives up what is left. */
  abandon(error: PubSubError): void {
    this.#cancelDeadline?.();
    for (const message of this.#underWay) message.reject(error);
    this.#drop(this.#waiting.length, error);
  }

  async #run(): Promise<void> {
    // Whoever publishes has more to say in this turn.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      if (await this.#open()) await this.#sendNext();
    }
    this.#running = undefined;
    this.#rest();
  }

  /** Makes Redis know this publisher. Returns `false` if that fails, and what waits is given up. */
  async #open(): Promise<boolean> {
    const isKnown = this.#floor && performance.now() - this.#floor.at < REMEMBERED;
    if (isKnown || !this.#options.opens) return true;
    try {
      await this.#send([], 0);
      return true;
    } catch (error) {
      // Nothing of what waits was sent.
      this.#drop(this.#batchSize(), error as PubSubError);
      return false;
    }
  }

  async #sendNext(): Promise<void> {
    const batch = this.#take(this.#batchSize());
    this.#underWay = batch;
    try {
      const sent = await this.#send(batch, this.#floor?.number ?? 0);
      if (sent.is === "unsent") this.#putBack(batch, sent.left);
      else if (sent.is === "lost") this.#settle(batch, lostNumber());
      else this.#settle(batch, undefined, sent.is === "done" ? sent.failed : undefined);
    } catch (error) {
      this.#settle(batch, outcomeUnknown(error as PubSubError));
    }
    this.#underWay = [];
    // At first at once: a change that is over needs no wait.
    if (this.#unsent > 1) await wait(Math.min(2 ** (this.#unsent - 2), LONGEST_WAIT));
  }

  async #send(batch: readonly Outgoing[], floor: number): Promise<Sent> {
    const { send, totals } = this.#options;
    // Of all queues: one that comes after this one must not use a number again.
    totals.batches += 1;
    const number = totals.batches;
    const sent = await send(batch, number, floor);
    const at = performance.now();
    if (sent.is === "done") this.#floor = { number, at };
    else if (sent.is === "forgot") this.#floor = { number: 0, at };
    else if (sent.is === "lost" || sent.isNew) this.#floor = undefined;
    return sent;
  }

  #settle(
    batch: readonly Outgoing[],
    error: PubSubError | undefined,
    failed?: ReadonlyMap<number, string>,
  ): void {
    this.#unsent = 0;
    for (const [n, message] of batch.entries()) {
      const reason = failed?.get(n);
      if (error) message.reject(error);
      else if (reason !== undefined) message.reject(unavailable(new Error(reason)));
      else message.resolve();
      this.#options.onLeft?.(message);
    }
  }

  /** Has what is left sent again, until it is too late: something was moved, or the streams have changed. */
  #putBack(batch: readonly Outgoing[], left: readonly Outgoing[]): void {
    this.#unsent = left.length < batch.length ? 0 : this.#unsent + 1;
    const now = performance.now();
    const [kept, late] = partition(left, ({ deadline }) => deadline > now);
    const error = unavailable(new Error("the streams changed again and again"));
    for (const message of late) {
      message.reject(error);
      this.#options.onLeft?.(message);
    }
    for (const message of kept) this.#count(message, 1);
    this.#waiting = [...kept, ...this.#waiting];
  }

  #drop(count: number, error: PubSubError): void {
    for (const message of this.#take(count)) {
      message.reject(error);
      this.#options.onLeft?.(message);
    }
  }

  #rest(): void {
    if (this.#running === undefined && this.#cancelDeadline === undefined) {
      this.#options.onRest?.();
    }
  }

  #batchSize(): number {
    let bytes = 0;
    for (const [n, { data }] of this.#waiting.entries()) {
      bytes += data.length;
      if (n === AT_ONCE || (n > 0 && bytes > BYTES_AT_ONCE)) return n;
    }
    return this.#waiting.length;
  }

  #take(count: number): readonly Outgoing[] {
    const taken = this.#waiting.splice(0, count);
    for (const message of taken) this.#count(message, -1);
    return taken;
  }

  #count({ data }: Outgoing, sign: 1 | -1): void {
    const { totals } = this.#options;
    totals.messages += sign;
    totals.bytes += sign * data.length;
  }

  /** Rejects what waits too long; what was not sent by then is never sent. */
  #watchDeadlines(now: number = performance.now()): void {
    const next = this.#underWay.find(({ deadline }) => deadline > now) ?? this.#waiting[0];
    // What keeps the process running, if anything, is the connection.
    this.#cancelDeadline =
      next && after(next.deadline - now, () => this.#rejectLate(), { unref: true });
  }

  #rejectLate(): void {
    const now = performance.now();
    const error = unavailable(new Error("Redis didn't answer in time"));
    const unknown = outcomeUnknown(error);
    for (const message of this.#underWay) if (message.deadline <= now) message.reject(unknown);
    const inTime = this.#waiting.findIndex(({ deadline }) => deadline > now);
    this.#drop(inTime < 0 ? this.#waiting.length : inTime, error);
    // The same moment: none must be late only for the one or only for the other.
    this.#watchDeadlines(now);
    this.#rest();
  }
}

function partition<T>(all: readonly T[], is: (item: T) => boolean): readonly [T[], T[]] {
  return [all.filter(is), all.filter((item) => !is(item))];
}

function lostNumber(): PubSubError {
  const cause = new Error("Redis has lost the number of the last batch of this publisher");
  return outcomeUnknown({ cause });
}
