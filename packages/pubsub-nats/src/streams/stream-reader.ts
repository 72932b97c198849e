import { after } from "@lanai/connection/deadline";
import type { Message } from "@lanai/pubsub";
import { type Inbox, pushAll, SubjectIndex } from "@lanai/pubsub/backend";
import type { Consumer, ConsumerMessages, JetStreamClient, JsMsg } from "@nats-io/jetstream";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { isStreamMissing, isUnavailable, unavailable } from "../errors.ts";
import type { History, Range, Snapshot } from "./history.ts";

/** Messages that are under way to this process, at most. */
const AHEAD = 1_024;
/** Between two attempts to read on, in milliseconds: at first, and at most. */
const BACKOFF = { first: 20, most: 1_000 };
const DRAIN_TIMEOUT = 1_000;
/** The statuses by which the client reports that it may read at another place than this process. */
const LOST = new Set(["stream_not_found", "consumer_deleted", "ordered_consumer_recreated"]);

export interface ReaderParts {
  readonly name: string;
  readonly nats: MonitoredConnection;
  readonly client: JetStreamClient;
  readonly history: History;
  readonly wireOf: (subject: string) => string;
  readonly messageOf: (epoch: string, message: JsMsg, replayed: boolean) => Message;
  /** The stream is gone: makes it again if this process has made it. Resolves to whether it is there. */
  readonly heal: (name: string) => Promise<boolean>;
  /** Nobody listens any more: this reader is done. */
  readonly onIdle: () => void;
}

interface Reading {
  readonly consumer: Consumer;
  readonly messages: ConsumerMessages;
}

interface Recipient {
  readonly subject: string;
  /** Pending while history is replayed to it. */
  replaying: Promise<void> | undefined;
}

/**
 * Reads one stream for all subscriptions of this process, by one ordered consumer from a known
 * position on. After a lost connection it continues where it was.
 */
export class StreamReader {
  readonly #parts: ReaderParts;
  readonly #inboxes = new Map<Inbox, Recipient>();
  readonly #index = new SubjectIndex<Inbox>();
  #epoch: string | undefined;
  /** The sequence of the last message that was read. */
  #position = 0;
  /** The time at which that was stored, in milliseconds; `undefined` if it isn't known. */
  #storedAt: number | undefined;
  /** Pending or resolved while it reads; `undefined` otherwise. */
  #opening: Promise<void> | undefined;
  #reading: Reading | undefined;
  /** Counts the stops, so that an opening in progress notices one. */
  #stops = 0;
  /** Were live when the connection was lost; are live again when `#resumeAt` is read. */
  readonly #resuming = new Set<Inbox>();
  #resumeAt = 0;
  #isRestoring = false;
  #reaching: { readonly position: number; readonly resolve: () => void }[] = [];

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  /** The epoch of the stream that it reads. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** The inbox gets what is stored from now on. Resolves to the stream as it is then. */
  async join(subject: string, inbox: Inbox): Promise<Snapshot> {
    const { history, name } = this.#parts;
    this.#inboxes.set(inbox, { subject, replaying: undefined });
    this.#index.add(subject, inbox);
    await this.#start();
    return history.snapshot(name);
  }

  leave(inbox: Inbox): void {
    const { subject } = this.#inboxes.get(inbox) ?? {};
    if (subject === undefined) return;
    this.#inboxes.delete(inbox);
    this.#resuming.delete(inbox);
    this.#index.delete(subject, inbox);
    if (this.#inboxes.size > 0) return;
    this.#stop();
    this.#parts.onIdle();
  }

  /**
   * Resolves when the inbox has been given everything that the stream held at the time of the call.
   *
   * @throws if that can't be found out, or takes longer than a second after history was replayed.
   */
  async drain(inbox: Inbox): Promise<void> {
    const { history, nats, name } = this.#parts;
    await this.#inboxes.get(inbox)?.replaying;
    const { last, epoch } = await history.snapshot(name);
    if (epoch === this.#epoch) await nats.call(() => this.#reach(last), DRAIN_TIMEOUT);
  }

  /**
   * Replays `wanted`, then what the inbox could not hold meanwhile, until it is live. Calls
   * `onFirst` with the position of the first message before that is replayed.
   */
  bringUp(inbox: Inbox, wanted?: Range, onFirst?: (position: number) => void): Promise<void> {
    const reader = this.#inboxes.get(inbox);
    const replaying = this.#bringUp(inbox, wanted, onFirst);
    if (reader) reader.replaying = replaying;
    return replaying;
  }

  async #bringUp(
    inbox: Inbox,
    wanted: Range | undefined,
    onFirst: ((position: number) => void) | undefined,
  ): Promise<void> {
    const { history } = this.#parts;
    let range = wanted;
    let behind = wanted !== undefined;
    let first = onFirst;
    const isHere = () => inbox.status !== "closed" && this.#inboxes.has(inbox);
    while (isHere() && (behind || !inbox.live())) {
      behind = true;
      try {
        range ??= await this.#missedBy(inbox);
        const { epoch } = range.stream;
        const isWhole = await history.read(range, (message, position) => {
          if (!isHere()) return false;
          first?.(position);
          first = undefined;
          inbox.replay(message, epoch, position);
          return inbox.room();
        });
        behind = !isWhole;
      } catch (error) {
        if (!isUnavailable(error) && !isStreamMissing(error)) {
          return inbox.fail(unavailable("what the stream retains could not be read", error));
        }
        await pause(BACKOFF.first);
      }
      range = undefined;
    }
    if (range) history.release(range.consumer);
  }

  lost(): void {
    this.#stop();
    for (const inbox of this.#inboxes.keys()) {
      if (inbox.status !== "live") continue;
      inbox.sync();
      this.#resuming.add(inbox);
    }
  }

  /**
   * Reads on, and tries until it does. If the stream is gone, the process that made it may be about
   * to make it again: that is waited for, for the timeout of a call.
   */
  async restored(): Promise<void> {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    const { nats, name, heal } = this.#parts;
    let isPatient = true;
    const cancel = after(nats.timeout, () => {
      isPatient = false;
    });
    let delay = BACKOFF.first;
    try {
      while (nats.isUp && this.#inboxes.size > 0) {
        try {
          await this.#start();
          if (this.#opening !== undefined) return;
        } catch (error) {
          const isGone =
            isStreamMissing(error) && nats.isUp && !(await heal(name).catch(() => true));
          if (isGone && !isPatient) return this.#fail(error);
        }
        await pause(delay);
        delay = Math.min(delay * 2, BACKOFF.most);
      }
    } finally {
      cancel();
      this.#isRestoring = false;
    }
  }

  /** The streams have changed: reads anew if this one is another, or its subjects were others. */
  revise(epoch: string | undefined, hasFlapped: boolean): void {
    if (hasFlapped) for (const inbox of this.#inboxes.keys()) inbox.gap("expired");
    if (this.#epoch === undefined || this.#epoch === epoch || !this.#reading) return;
    this.#readAnew();
  }

  #fail(cause: unknown): void {
    const error = unavailable("the stream can't be read any more: is it there?", cause);
    for (const inbox of [...this.#inboxes.keys()]) {
      inbox.gap("expired");
      // The gap is reported in a microtask, and only while the subscription is open.
      queueMicrotask(() => inbox.fail(error));
    }
  }

  async #start(): Promise<void> {
    this.#opening ??= this.#open();
    const opening = this.#opening;
    try {
      await opening;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { nats, client, history, name } = this.#parts;
    const stops = this.#stops;
    let stream: Snapshot;
    let consumer: Consumer;
    let next = await history.snapshot(name);
    do {
      stream = next;
      const start = { opt_start_seq: this.#startOf(stream, await this.#hasLostEnd(stream)) + 1 };
      consumer = await nats.call(() => client.consumers.get(name, start));
      // If the stream was made again in between, the consumer reads other messages at these positions.
      next = await history.snapshot(name);
      if (next.epoch !== stream.epoch) history.release(consumer);
      else if (stops !== this.#stops) return history.release(consumer);
    } while (next.epoch !== stream.epoch);
    const { num_pending, name: consumerName } = await consumer.info(true);
    if (stops !== this.#stops) return history.release(consumer);
    const messages = await consumer.consume({
      max_messages: AHEAD,
      expires: 10_000,
      // An exception here would end the reading.
      callback: (message) => {
        if (this.#reading?.messages !== messages) return;
        if (message.info.consumer === consumerName) this.#read(message);
        else this.#readAnew();
      },
    });
    this.#reading = { consumer, messages };
    this.#watch(messages).catch(() => undefined);
    this.#resumeAt = stream.last;
    if (num_pending === 0) {
      // What there was has expired meanwhile.
      if (stream.last > this.#position) this.#skipTo(stream.last);
      this.#resume();
    } else if (this.#position >= stream.last) {
      this.#resume();
    }
  }

  /** Whether the stream has not what was read last: it was restored from before that. */
  async #hasLostEnd(stream: Snapshot): Promise<boolean> {
    if (stream.epoch !== this.#epoch) return false;
    if (this.#position > stream.last) return true;
    if (this.#storedAt === undefined) return false;
    return !(await this.#parts.history.isStill(stream, this.#position, this.#storedAt));
  }

  /** Where it goes on: where it was, or anew in a stream that was made again or has lost its end. */
  #startOf(stream: Snapshot, hasLostEnd: boolean): number {
    const isOther = this.#epoch !== undefined && this.#epoch !== stream.epoch;
    if (this.#epoch === undefined) this.#position = stream.last;
    else if (isOther) this.#beginAt(stream, Math.max(0, stream.first - 1), false);
    // Where it went another way can't be known: what there is since is reported as missing.
    else if (hasLostEnd) this.#beginAt(stream, stream.last, true);
    this.#epoch = stream.epoch;
    return this.#position;
  }

  /** Begins anew for all who are in another stream, or in this one after a place that it lost. */
  #beginAt(stream: Snapshot, position: number, hasLostEnd: boolean): void {
    this.#position = position;
    this.#storedAt = undefined;
    for (const inbox of this.#inboxes.keys()) {
      // What it holds would come after the history of what there is now (law P10).
      inbox.forgetHeld();
      const isIn = inbox.position(stream.epoch) !== undefined;
      if (isIn !== hasLostEnd) continue;
      inbox.gap("expired");
      inbox.startAfter(stream.epoch, position);
    }
  }

  #read(message: JsMsg): void {
    const { streamSequence: position } = message.info;
    if (position <= this.#position) return;
    if (position > this.#position + 1) this.#skipTo(position - 1);
    this.#position = position;
    const epoch = this.#epoch as string;
    const read = this.#parts.messageOf(epoch, message, false);
    this.#storedAt = read.time;
    const inboxes = this.#index.match(read.subject);
    if (inboxes.length > 0) pushAll(inboxes, read, epoch, position);
    if (position >= this.#resumeAt) this.#resume();
    if (this.#reaching.length > 0) this.#reached();
  }

  /** Resolves when a position has been read, or reading stops. */
  #reach(position: number): Promise<void> {
    if (position <= this.#position || !this.#reading) return Promise.resolve();
    return new Promise((resolve) => this.#reaching.push({ position, resolve }));
  }

  #reached(position: number = this.#position): void {
    const reached = this.#reaching.filter((it) => it.position <= position);
    this.#reaching = this.#reaching.filter((it) => it.position > position);
    for (const { resolve } of reached) resolve();
  }

  /** The stream has let go of what is in between, before it was read. */
  #skipTo(position: number): void {
    this.#position = position;
    this.#storedAt = undefined;
    for (const inbox of this.#inboxes.keys()) {
      const known = inbox.position(this.#epoch as string);
      if (known !== undefined && known < position) inbox.gap("expired");
    }
  }

  #resume(): void {
    if (this.#resuming.size === 0) return;
    const inboxes = [...this.#resuming];
    this.#resuming.clear();
    for (const inbox of inboxes) void this.bringUp(inbox);
  }

  async #missedBy(inbox: Inbox): Promise<Range> {
    const { history, name, wireOf } = this.#parts;
    const stream = await history.snapshot(name);
    // The inbox holds what this reader reads: both must be of one stream.
    if (stream.epoch !== this.#epoch) throw unavailable("the stream was made again: ask again");
    const from = (inbox.position(stream.epoch) ?? 0) + 1;
    if (stream.first > from) inbox.gap("expired");
    return history.from(stream, wireOf(inbox.subject), from);
  }

  /**
   * The client makes a lost consumer anew. If the stream is lost, it would wait for ever, and if the
   * stream was made again, it would go on at the old position among other messages. These may come before
   * the status that says so: the name of their consumer shows it.
   */
  async #watch(messages: ConsumerMessages): Promise<void> {
    for await (const { type } of messages.status()) {
      if (LOST.has(type)) break;
    }
    if (this.#reading?.messages === messages) this.#readAnew();
  }

  #readAnew(): void {
    this.lost();
    void this.restored();
  }

  #stop(): void {
    this.#stops += 1;
    this.#opening = undefined;
    this.#reached(Infinity);
    const { consumer, messages } = this.#reading ?? {};
    this.#reading = undefined;
    messages?.stop();
    if (consumer) this.#parts.history.release(consumer);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
