import { PubSubError } from "./errors.ts";
import { emitEvent } from "./events.ts";
import { Fifo } from "./fifo.ts";
import { knownOptions, numberOption } from "./known-options.ts";
import type { Gap, Handler, Message, SubscribeOptions, Subscription } from "./pubsub.ts";
import { validateSubject } from "./subject.ts";

const OPTIONS = [
  "replay",
  "since",
  "signal",
  "queue",
  "onError",
  "onGap",
] as const satisfies readonly (keyof SubscribeOptions)[];

/** Handlers that publish to each other deeper than this go on in a microtask. */
const MAX_DEPTH = 50;
let depth = 0;

/** What waits for the handler: a message, or a gap to tell in its place. */
type Waiting = { readonly message: Message } | { readonly message?: undefined; readonly gap: Gap };

interface Held {
  readonly message: Message;
  readonly stream: string | undefined;
  readonly position: number | undefined;
}

export interface InboxOptions {
  readonly subject: string;
  readonly handler: Handler;
  readonly options?: SubscribeOptions | undefined;
  /** Called once, when the subscription ends, to let go of it: out of the index, off the wire. */
  readonly leave: () => void | Promise<void>;
}

/**
 * Checks what was given to `subscribe`, before anything else happens.
 *
 * @throws PubSubError for the subject, TypeError or RangeError for the rest.
 */
export function validateSubscribe(
  subject: string,
  handler: (...args: never[]) => unknown,
  options: SubscribeOptions = {},
): void {
  validateSubject(subject, "subscribe");
  if (typeof handler !== "function") {
    throw new TypeError(`subscribe: the handler must be a function, got ${typeof handler}`);
  }
  knownOptions("subscribe", options, OPTIONS);
  numberOption("subscribe", "replay", options.replay, { least: 0, most: Infinity, fallback: 0 });
  if (options.since !== undefined && typeof options.since !== "string") {
    throw new TypeError(`subscribe: since must be a string, got ${typeof options.since}`);
  }
  for (const name of ["onError", "onGap"] as const) {
    const { [name]: callback } = options;
    if (callback !== undefined && typeof callback !== "function") {
      throw new TypeError(`subscribe: ${name} must be a function, got ${typeof callback}`);
    }
  }
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw new TypeError(`subscribe: signal must be an AbortSignal, got ${typeof options.signal}`);
  }
  queueOptions(options);
}

function queueOptions({ queue = {} }: SubscribeOptions) {
  knownOptions("subscribe: queue", queue, ["limit", "bytes", "overflow"]);
  const { overflow = "close" } = queue;
  if (overflow !== "close" && overflow !== "drop-oldest") {
    throw new TypeError(
      `subscribe: queue.overflow must be "close" or "drop-oldest", got ${JSON.stringify(overflow)}`,
    );
  }
  return {
    overflow,
    limit: numberOption("subscribe", "queue.limit", queue.limit, {
      least: 1,
      most: 1_000_000,
      fallback: 1024,
    }),
    bytes: numberOption("subscribe", "queue.bytes", queue.bytes, {
      least: 1,
      most: Number.MAX_SAFE_INTEGER,
      fallback: 16 * 2 ** 20,
    }),
  };
}

/**
 * The subscription that a backend answers with, and all of it that is the same in every backend: the
 * bounded queue and its policy, one call of the handler at a time, reports of failures and gaps,
 * history before live messages without a duplicate, the end by a signal.
 *
 * For a backend whose history can be read and joined in one step: {@link Inbox.replay}, then
 * {@link Inbox.live}, in one tick. For one that subscribes and reads apart: the inbox is made, then
 * subscribed on the wire (what is pushed meanwhile is held), then history is replayed, awaiting
 * {@link Inbox.room} between pages, then `live()` lets through what was held and is newer than
 * what was replayed; if it answers `false`, too much was held and forgotten: read on from
 * {@link Inbox.position}. {@link Inbox.sync} begins that again after a reconnect.
 */
export class Inbox implements Subscription {
  readonly subject: string;
  recovered: boolean | undefined;
  cursor: string | undefined;

  readonly #handler: Handler;
  readonly #onError: SubscribeOptions["onError"];
  readonly #onGap: SubscribeOptions["onGap"];
  readonly #limit: number;
  readonly #bytes: number;
  readonly #overflow: "close" | "drop-oldest";
  readonly #leave: () => void | Promise<void>;
  readonly #signal: AbortSignal | undefined;
  #status: Subscription["status"] = "syncing";
  /** History comes no faster than it is asked for, and isn't counted against the limits. */
  readonly #past = new Fifo<Waiting>();
  readonly #queue = new Fifo<Waiting>();
  /** How many messages are in the queue, and how large they are. */
  #live = 0;
  #size = 0;
  /** How many were dropped and not yet told. */
  #dropped = 0;
  #busy = false;
  #held: Held[] | undefined = [];
  #heldSize = 0;
  #forgot = false;
  #positions: Map<string, number> | undefined;
  #wanting: (() => void)[] = [];
  #closing: Promise<void> | undefined;
  #closed: PromiseWithResolvers<void> | undefined;

  /** @throws as {@link validateSubscribe}. */
  constructor({ subject, handler, options = {}, leave }: InboxOptions) {
    validateSubscribe(subject, handler, options);
    const { limit, bytes, overflow } = queueOptions(options);
    this.subject = subject;
    this.#handler = handler;
    this.#onError = options.onError;
    this.#onGap = options.onGap;
    this.#limit = limit;
    this.#bytes = bytes;
    this.#overflow = overflow;
    this.#leave = leave;
    this.#signal = options.signal;
    emitEvent("subscribed", { level: "info", subject });
    if (this.#signal?.aborted) void this.unsubscribe();
    else this.#signal?.addEventListener("abort", this.#abort, { once: true });
  }

  get status(): Subscription["status"] {
    return this.#status;
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

  /** What came before is behind: nothing at or below `position` of `stream` will be delivered. */
  startAfter(stream: string, position: number): void {
    this.#positions ??= new Map();
    this.#positions.set(stream, position);
  }

  /**
   * A live message. With a stream's name and its position there, one that has come already is
   * dropped; positions must grow. Held while {@link Inbox.status} is `syncing`.
   */
  push(message: Message, stream?: string, position?: number): void {
    this.enqueue(message, stream, position);
    this.deliver();
  }

  /** The first half of {@link push}: see {@link pushAll}. */
  enqueue(message: Message, stream?: string, position?: number): void {
    if (this.#status === "closed") return;
    if (this.#held !== undefined) this.#hold({ message, stream, position });
    else if (this.#isNew(stream, position)) this.#add(message);
  }

  /** A message of history, oldest first. Await {@link Inbox.room} after each page of them. */
  replay(message: Message, stream?: string, position?: number): void {
    if (this.#status === "closed" || !this.#isNew(stream, position)) return;
    this.#past.push({ message });
  }

  /** Delivers what waits, and resolves when no more of history waits than half of the queue's limit. */
  room(): Promise<void> | void {
    this.deliver();
    if (!this.#hasRoom()) return new Promise((resolve) => this.#wanting.push(resolve));
  }

  /** A connection was lost: live messages are held from here on. */
  sync(): void {
    if (this.#status !== "live") return;
    this.#status = "syncing";
    this.#held = [];
  }

  /**
   * History has been replayed: lets through what was held meanwhile, and is live. `false`: it held
   * too much and forgot it all; it is still `syncing`, read on from {@link Inbox.position}.
   */
  live(): boolean {
    if (this.#status === "closed") return true;
    const held = this.#held ?? [];
    if (this.#forgot) {
      this.#forgot = false;
      return false;
    }
    this.#held = undefined;
    this.#heldSize = 0;
    this.#status = "live";
    for (const { message, stream, position } of held) this.enqueue(message, stream, position);
    this.deliver();
    return true;
  }

  /** Tells of a gap, after what waits now and before what comes next. */
  gap(reason: Gap["reason"], count?: number): void {
    if (this.#status === "closed") return;
    const { subject } = this;
    const gap = count === undefined ? { subject, reason } : { subject, reason, count };
    emitEvent("gap", { level: "warn", ...gap });
    if (!this.#onGap) return;
    const queue = this.#queue.length > 0 ? this.#queue : this.#past;
    const { last } = queue;
    // A connection that comes and goes while a handler is busy is one gap.
    if (last && !last.message && last.gap.reason === reason && count === undefined) return;
    queue.push({ gap });
    // Not now: what is told may publish, while a message is on its way to others.
    queueMicrotask(() => this.deliver());
  }

  /** Tells of a failure: to `onError`, or as a warning of the process where there is none. */
  report(error: PubSubError, message?: Message): void {
    emitEvent("error", { level: "error", subject: this.subject, error });
    try {
      if (!this.#onError) warn(this.subject, error);
      else if (!message) this.#onError(error);
      else {
        const { data: _, ...meta } = message;
        this.#onError(error, meta);
      }
    } catch (failure) {
      warn(this.subject, failure);
    }
  }

  /** Ends the subscription for a reason that is told, before {@link Inbox.closed} resolves. */
  fail(error: PubSubError): void {
    this.#closing ??= this.#end(error);
  }

  unsubscribe(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  readonly #abort = (): void => void this.unsubscribe();

  async #end(error?: PubSubError): Promise<void> {
    this.#status = "closed";
    this.#past.clear();
    this.#queue.clear();
    this.#held = undefined;
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const resolve of this.#wanting.splice(0)) resolve();
    emitEvent("unsubscribed", { level: "info", subject: this.subject });
    const leaving = this.#letGo();
    // Not now: what is told may publish, while a message is on its way to others.
    if (error) queueMicrotask(() => this.report(error));
    await leaving;
    this.#closed?.resolve();
  }

  async #letGo(): Promise<void> {
    try {
      await this.#leave();
    } catch (error) {
      emitEvent("error", { level: "error", subject: this.subject, error });
    }
  }

  #isNew(stream: string | undefined, position: number | undefined): boolean {
    if (stream === undefined || position === undefined) return true;
    const last = this.#positions?.get(stream);
    if (last !== undefined && position <= last) return false;
    this.startAfter(stream, position);
    return true;
  }

  #hold(held: Held): void {
    const room = this.#held as Held[];
    this.#heldSize += sizeOf(held.message);
    if (!this.#forgot && room.length < this.#limit && this.#heldSize <= this.#bytes) {
      room.push(held);
      return;
    }
    // What a stream retains will be read from there; what it doesn't is lost.
    this.#dropped += [...room, held].filter(({ position }) => position === undefined).length;
    this.#forgot = true;
    this.#held = [];
    this.#heldSize = 0;
  }

  #add(message: Message): void {
    const size = sizeOf(message);
    while (this.#live > 0 && (this.#live >= this.#limit || this.#size + size > this.#bytes)) {
      if (this.#overflow === "close") {
        this.fail(tooSlow());
        return;
      }
      const oldest = this.#takeLive();
      if (oldest.message) this.#dropped += 1;
      else queueMicrotask(() => this.#tell(oldest.gap));
    }
    this.#queue.push({ message });
    this.#live += 1;
    this.#size += size;
  }

  #takeLive(): Waiting {
    const next = this.#queue.shift() as Waiting;
    if (next.message) {
      this.#live -= 1;
      this.#size -= sizeOf(next.message);
    }
    return next;
  }

  #hasRoom(): boolean {
    return this.#past.length <= this.#limit / 2;
  }

  get #isIdle(): boolean {
    return this.#past.length + this.#queue.length + this.#dropped === 0;
  }

  /** The second half of {@link push}. */
  deliver(): void {
    if (this.#busy || this.#isIdle) return;
    if (depth >= MAX_DEPTH) {
      queueMicrotask(() => this.deliver());
      return;
    }
    this.#busy = true;
    depth += 1;
    while (this.#status !== "closed" && !this.#isIdle) {
      const pending = this.#step();
      if (pending !== undefined) {
        depth -= 1;
        this.#wakeWanting();
        void pending.then(this.#next);
        return;
      }
    }
    depth -= 1;
    this.#busy = false;
    this.#wakeWanting();
  }

  /** Hands over what is next, or tells the gap that is; a promise if the handler isn't done. */
  #step(): Promise<void> | undefined {
    let next = this.#past.shift();
    if (!next && this.#dropped > 0) {
      this.#tellDropped();
      return undefined;
    }
    next ??= this.#takeLive();
    if (next.message) return this.#call(next.message);
    this.#tell(next.gap);
    return undefined;
  }

  readonly #next = (): void => {
    this.#busy = false;
    this.#wakeWanting();
    this.deliver();
  };

  #wakeWanting(): void {
    if (this.#wanting.length > 0 && this.#hasRoom()) {
      for (const resolve of this.#wanting.splice(0)) resolve();
    }
  }

  #call(message: Message): Promise<void> | undefined {
    if (message.id !== undefined) this.cursor = message.id;
    try {
      const result = this.#handler(message);
      if (isThenable(result)) {
        return Promise.resolve(result).then(undefined, (error) => this.#failed(error, message));
      }
    } catch (error) {
      this.#failed(error, message);
    }
    return undefined;
  }

  #failed(cause: unknown, message: Message): void {
    // A layer above has said already what kind of failure it is.
    const error = isDecodeError(cause)
      ? cause
      : new PubSubError("ERR_PUBSUB_HANDLER", "a handler failed: see the cause", { cause });
    this.report(error, message);
  }

  #tellDropped(): void {
    const gap: Gap = { subject: this.subject, reason: "overflow", count: this.#dropped };
    this.#dropped = 0;
    emitEvent("gap", { level: "warn", ...gap });
    this.#tell(gap);
  }

  #tell(gap: Gap): void {
    try {
      this.#onGap?.(gap);
    } catch (error) {
      warn(this.subject, error);
    }
  }
}

/**
 * One message for many subscriptions: all have it in their queues before the first handler runs, so
 * that what a handler publishes comes after it everywhere.
 */
export function pushAll(
  inboxes: Iterable<Inbox>,
  message: Message,
  stream?: string,
  position?: number,
): void {
  for (const inbox of inboxes) inbox.enqueue(message, stream, position);
  for (const inbox of inboxes) inbox.deliver();
}

const sizeOf = ({ data }: Message): number => data.length;

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { then?: unknown }).then === "function";

const tooSlow = (): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_SLOW",
    "the subscriber didn't keep up and was closed: resume from the last cursor, make the handler " +
      'faster, or choose queue: { limit, overflow: "drop-oldest" }',
  );

const isDecodeError = (error: unknown): error is PubSubError =>
  error instanceof Error && (error as Partial<PubSubError>).code === "ERR_PUBSUB_DECODE";

/** The last resort, so that no failure goes unseen. */
export function warn(subject: string | undefined, error: unknown): void {
  const { message, cause } = error as Partial<Error>;
  const detail = cause instanceof Error ? cause.stack : undefined;
  process.emitWarning(`a subscription of ${subject} failed: ${message ?? error}`, {
    type: "PubSubWarning",
    ...(detail !== undefined && { detail }),
  });
}
