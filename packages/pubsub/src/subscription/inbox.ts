import { PubSubError } from "../errors.ts";
import { emitEvent } from "../events.ts";
import type { Gap, Handler, Message, SubscribeOptions, Subscription } from "../pubsub.ts";
import { Delivery } from "./delivery.ts";
import { FailureReports } from "./failure-reports.ts";
import { HeldMessages } from "./held-messages.ts";
import { type QueueLimits, queueLimits, validateSubscribe } from "./subscribe-options.ts";
import { WaitingMessages } from "./waiting-messages.ts";

/** Options of an {@link Inbox}. */
export interface InboxOptions {
  /** The subject or pattern that was subscribed. */
  readonly subject: string;
  /** The handler that was passed to `subscribe`. */
  readonly handler: Handler;
  /** The options that were passed to `subscribe`. Default: none. */
  readonly options?: SubscribeOptions | undefined;
  /** Called once, when the subscription ends, to remove it from indexes and from the broker. */
  readonly leave: () => void | Promise<void>;
}

/**
 * The subscription that a backend returns, with all of it that is the same in every backend: the
 * bounded queue and its policy, one call of the handler at a time, reports of failures and gaps,
 * history before live messages without a duplicate, the end by a signal.
 *
 * For a backend whose history can be read and joined in one step: {@link Inbox.replay}, then
 * {@link Inbox.live}, in one tick. For one that subscribes and reads separately: the inbox is made,
 * then subscribed at the broker (what is pushed meanwhile is held), then history is replayed, awaiting
 * {@link Inbox.room} between pages, then `live()` delivers what was held and is newer than what was
 * replayed. If it returns `false`, too much was held and is forgotten: read on from
 * {@link Inbox.position}. After a lost connection, {@link Inbox.sync} begins that again.
 */
export class Inbox implements Subscription {
  readonly subject: string;
  recovered: boolean | undefined;
  /**
   * Whether plain messages that come while history is read are older than that history. By default
   * they are newer, and are held.
   */
  plainIsOlder = false;

  readonly #limits: QueueLimits;
  readonly #leave: () => void | Promise<void>;
  readonly #signal: AbortSignal | undefined;
  readonly #reports: FailureReports;
  readonly #waiting: WaitingMessages;
  readonly #delivery: Delivery;
  #status: Subscription["status"] = "syncing";
  /** Exactly while the status is `syncing`. */
  #held: HeldMessages | undefined;
  /** The last position of each stream that was replayed or pushed. */
  #positions: Map<string, number> | undefined;
  #abort: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #closed: PromiseWithResolvers<void> | undefined;

  /** @throws as {@link validateSubscribe}. */
  constructor({ subject, handler, options = {}, leave }: InboxOptions) {
    validateSubscribe(subject, handler, options);
    this.subject = subject;
    this.#limits = queueLimits(options);
    this.#leave = leave;
    this.#signal = options.signal;
    this.#reports = new FailureReports(subject, options);
    this.#waiting = new WaitingMessages(this.#limits, this.#reports);
    this.#delivery = new Delivery(handler, this.#waiting, this.#reports);
    this.#held = new HeldMessages(this.#limits);
    emitEvent("subscribed", { level: "info", subject });
    if (this.#signal === undefined) return;
    this.#abort = () => void this.unsubscribe();
    if (this.#signal.aborted) this.#abort();
    else this.#signal.addEventListener("abort", this.#abort, { once: true });
  }

  get status(): Subscription["status"] {
    return this.#status;
  }

  get cursor(): string | undefined {
    return this.#delivery.cursor;
  }

  set cursor(cursor: string | undefined) {
    this.#delivery.cursor = cursor;
  }

  get closed(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers();
      if (this.#status === "closed") this.#closed.resolve();
    }
    return this.#closed.promise;
  }

  /** The last position of a stream that was replayed or pushed. */
  position(stream: string): number | undefined {
    return this.#positions?.get(stream);
  }

  /** Sets where the subscription is: no message of `stream` up to `position` will be delivered. */
  startAfter(stream: string, position: number): void {
    this.#positions ??= new Map();
    this.#positions.set(stream, position);
  }

  /**
   * The last position of a stream that may be replayed now: what comes after it is held, in order,
   * with messages of other sources in between. `undefined` if nothing of the stream is held.
   */
  heldAfter(stream: string): number | undefined {
    return this.#held?.startOf(stream);
  }

  /**
   * Adds a live message and delivers it. With a stream's name and its position there, a message that
   * has come already is dropped; positions must grow. With `isAfter` it isn't in the stream, but was
   * published after that position and before the next. Held while {@link Inbox.status} is `syncing`.
   */
  push(message: Message, stream?: string, position?: number, isAfter = false): void {
    this.enqueue(message, stream, position, isAfter);
    this.deliver();
  }

  /** The first half of {@link push}: see {@link pushAll}. */
  enqueue(message: Message, stream?: string, position?: number, isAfter = false): void {
    if (this.#held !== undefined) this.#hold(message, stream, position, isAfter);
    else if (this.#status === "live" && this.#advance(stream, position, isAfter)) {
      if (!this.#waiting.addLive(message)) this.fail(tooSlow());
    }
  }

  /** The second half of {@link push}. */
  deliver(): void {
    this.#delivery.run();
  }

  /** Adds a message of history, oldest first. Await {@link Inbox.room} after each page of them. */
  replay(message: Message, stream?: string, position?: number): void {
    if (this.#status === "closed" || !this.#advance(stream, position, false)) return;
    this.#waiting.addHistory(message);
  }

  /** Delivers what waits, and resolves when no more of history waits than half of the queue's limit. */
  room(): Promise<void> | void {
    this.deliver();
    return this.#delivery.room();
  }

  /** Begins to hold live messages, because a connection was lost. */
  sync(): void {
    if (this.#status !== "live") return;
    this.#status = "syncing";
    this.#held = new HeldMessages(this.#limits);
    if (!this.#waiting.setLiveAside()) this.fail(tooSlow());
  }

  /**
   * Forgets what is held, because a connection was lost again: what a stream retains is read from
   * there, and the rest is reported as a gap.
   */
  forgetHeld(): void {
    const lost = this.#held?.forget() ?? 0;
    if (lost > 0) this.gap("reconnect", lost);
  }

  /**
   * Delivers what was held while history was replayed, and is live. Returns `false` if too much was
   * held and all of it is forgotten: it is still `syncing`, read on from {@link Inbox.position}.
   */
  live(): boolean {
    if (this.#held === undefined) return true;
    const held = this.#held.release();
    if (!held) return false;
    this.#held = undefined;
    this.#status = "live";
    for (const { message, stream, position, isAfter } of held) {
      this.enqueue(message, stream, position, isAfter);
    }
    this.deliver();
    return true;
  }

  /** Reports a gap, after what waits now and before what comes next. */
  gap(reason: Gap["reason"], count?: number): void {
    if (this.#status === "closed") return;
    this.#waiting.addGap(this.#reports.gap(reason, count));
    // Not now: the callback may publish, while a message is on its way to others.
    queueMicrotask(() => this.deliver());
  }

  /** Reports a failure to `onError`, or as a warning of the process if there is none. */
  report(error: PubSubError, message?: Message): void {
    this.#reports.error(error, message);
  }

  /** Ends the subscription for a reason that is reported before {@link Inbox.closed} resolves. */
  fail(error: PubSubError): void {
    this.#closing ??= this.#end(error);
  }

  unsubscribe(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(error?: PubSubError): Promise<void> {
    this.#status = "closed";
    this.#held = undefined;
    this.#delivery.stop();
    if (this.#abort) this.#signal?.removeEventListener("abort", this.#abort);
    emitEvent("unsubscribed", { level: "info", subject: this.subject });
    const left = this.#letGo();
    // Not now: the callback may publish, while a message is on its way to others.
    if (error) queueMicrotask(() => this.report(error));
    await left;
    this.#closed?.resolve();
  }

  async #letGo(): Promise<void> {
    try {
      await this.#leave();
    } catch (error) {
      emitEvent("error", { level: "error", subject: this.subject, error });
    }
  }

  #hold(
    message: Message,
    stream: string | undefined,
    position: number | undefined,
    isAfter: boolean,
  ): void {
    if (this.plainIsOlder && stream === undefined) {
      // Behind what is held it would be in the wrong order (law P10).
      if (this.#held?.isEmpty && this.#waiting.hasRoom) this.#waiting.addHistory(message);
      else this.#waiting.drop(1);
      return;
    }
    const lost = this.#held?.add({ message, stream, position, isAfter }) ?? 0;
    if (lost > 0) this.#waiting.drop(lost);
  }

  /** Moves the position of a stream to a message of it; returns whether the message is to be delivered. */
  #advance(stream: string | undefined, position: number | undefined, isAfter: boolean): boolean {
    if (stream === undefined || position === undefined) return true;
    const last = this.#positions?.get(stream);
    if (last !== undefined && (isAfter ? position < last : position <= last)) {
      // It can't be put in its place any more (law P10).
      if (isAfter) this.gap("reconnect", 1);
      return false;
    }
    this.startAfter(stream, position);
    return true;
  }
}

/**
 * Adds one message to many subscriptions: all have it in their queues before the first handler runs,
 * so that what a handler publishes comes after it everywhere. See {@link Inbox.push}.
 */
export function pushAll(
  inboxes: Iterable<Inbox>,
  message: Message,
  stream?: string,
  position?: number,
  isAfter = false,
): void {
  for (const inbox of inboxes) inbox.enqueue(message, stream, position, isAfter);
  for (const inbox of inboxes) inbox.deliver();
}

const tooSlow = (): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_SLOW",
    "the subscriber didn't keep up and was closed: resume from the last cursor, make the handler " +
      'faster, or choose queue: { limit, overflow: "drop-oldest" }',
  );
