import type { Message } from "@lanai/pubsub";
import { type Inbox, pushAll, SubjectIndex } from "@lanai/pubsub/backend";
import type { Consumer, ConsumerMessages, JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { isStreamMissing, isUnavailable, unavailable } from "./errors.ts";
import type { History, Range, Snapshot } from "./history.ts";
import type { Link } from "./link.ts";

/** Messages that are under way to this process at most. */
const AHEAD = 1_024;
/** Between two attempts to read on, in milliseconds: at first, and at most. */
const BACKOFF = { first: 20, most: 1_000 };

export interface ReaderParts {
  readonly name: string;
  readonly link: Link;
  readonly client: JetStreamClient;
  readonly history: History;
  readonly wireOf: (subject: string) => string;
  readonly messageOf: (epoch: string, message: JsMsg, replayed: boolean) => Message;
  /** The stream is gone: makes it again if this process has made it, and answers whether. */
  readonly heal: (name: string) => Promise<boolean>;
  /** Nobody listens any more: this reader is done. */
  readonly onIdle: () => void;
}

interface Reading {
  readonly consumer: Consumer;
  readonly messages: ConsumerMessages;
}

/**
 * Reads one stream for all subscriptions of this process, by one ordered consumer from a known
 * position on: after a lost connection it continues where it was.
 */
export class StreamReader {
  readonly #parts: ReaderParts;
  /** With their subjects. */
  readonly #inboxes = new Map<Inbox, string>();
  readonly #index = new SubjectIndex<Inbox>();
  #epoch: string | undefined;
  /** Of the last message that was read. */
  #position = 0;
  /** Settles when it reads; forgotten when it doesn't any more. */
  #opening: Promise<void> | undefined;
  #reading: Reading | undefined;
  /** Counts them, so that an opening that is under way notices one. */
  #stops = 0;
  /** Those that were live when the connection was lost; live again when `#resumeAt` is read. */
  readonly #resuming = new Set<Inbox>();
  #resumeAt = 0;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /** The inbox holds what is stored from now on. Answers the stream as it is then. */
  async join(subject: string, inbox: Inbox): Promise<Snapshot> {
    const { history, name } = this.#parts;
    this.#inboxes.set(inbox, subject);
    this.#index.add(subject, inbox);
    await this.#start();
    return history.snapshot(name);
  }

  leave(inbox: Inbox): void {
    const subject = this.#inboxes.get(inbox);
    if (subject === undefined) return;
    this.#inboxes.delete(inbox);
    this.#resuming.delete(inbox);
    this.#index.delete(subject, inbox);
    if (this.#inboxes.size > 0) return;
    this.#stop();
    this.#parts.onIdle();
  }

  /**
   * Replays `wanted`, then what the inbox could not hold meanwhile, until it is live. Tells the
   * position of the first message before it is replayed.
   */
  async bringUp(inbox: Inbox, wanted?: Range, onFirst?: (position: number) => void): Promise<void> {
    const { history } = this.#parts;
    let range = wanted;
    let behind = wanted !== undefined;
    let first = onFirst;
    while (inbox.status !== "closed" && (behind || !inbox.live())) {
      behind = true;
      try {
        range ??= await this.#missedBy(inbox);
        const { epoch } = range.stream;
        const isWhole = await history.read(range, (message, position) => {
          if (inbox.status === "closed") return false;
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
   * Goes on reading, and tries until it does. Where the stream is gone the process that made it may
   * be about to make it again: that is waited for, for the time-out of a call.
   */
  async restored(): Promise<void> {
    const { link, name, heal } = this.#parts;
    const patience = Date.now() + link.timeout;
    let delay = BACKOFF.first;
    while (link.isUp && this.#inboxes.size > 0) {
      try {
        return await this.#start();
      } catch (error) {
        const isGone = isStreamMissing(error) && link.isUp && !(await heal(name).catch(() => true));
        if (isGone && Date.now() > patience) return this.fail(error);
      }
      await pause(delay);
      delay = Math.min(delay * 2, BACKOFF.most);
    }
  }

  fail(cause: unknown): void {
    for (const inbox of [...this.#inboxes.keys()]) {
      inbox.fail(unavailable("the stream can't be read any more: is it there?", cause));
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
    const { link, client, history, name } = this.#parts;
    const stops = this.#stops;
    const stream = await history.snapshot(name);
    const from = this.#startOf(stream);
    const consumer = await link.call(() => client.consumers.get(name, { opt_start_seq: from + 1 }));
    const { num_pending } = await consumer.info(true);
    if (stops !== this.#stops) return history.release(consumer);
    const messages = await consumer.consume({
      max_messages: AHEAD,
      expires: 10_000,
      // What it threw would end the reading.
      callback: (message) => {
        if (this.#reading?.messages === messages) this.#read(message);
      },
    });
    this.#reading = { consumer, messages };
    void this.#watch(messages);
    this.#resumeAt = stream.last;
    if (num_pending === 0) {
      // What there was has expired meanwhile.
      if (stream.last > this.#position) this.#skipTo(stream.last);
      this.#resume();
    } else if (this.#position >= stream.last) {
      this.#resume();
    }
  }

  /** Where it goes on: where it was, or at the beginning of a stream that was made again. */
  #startOf(stream: Snapshot): number {
    if (this.#epoch === undefined) this.#position = stream.last;
    else if (this.#epoch !== stream.epoch) {
      this.#position = Math.max(0, stream.first - 1);
      for (const inbox of this.#inboxes.keys()) {
        inbox.gap("expired");
        inbox.startAfter(stream.epoch, this.#position);
      }
    }
    this.#epoch = stream.epoch;
    return this.#position;
  }

  #read(message: JsMsg): void {
    const { streamSequence: position } = message.info;
    if (position <= this.#position) return;
    if (position > this.#position + 1) this.#skipTo(position - 1);
    this.#position = position;
    const epoch = this.#epoch as string;
    const read = this.#parts.messageOf(epoch, message, false);
    const inboxes = this.#index.match(read.subject);
    if (inboxes.length > 0) pushAll(inboxes, read, epoch, position);
    if (position >= this.#resumeAt) this.#resume();
  }

  /** The stream has let go of what is in between, before it was read. */
  #skipTo(position: number): void {
    this.#position = position;
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
    const from = (inbox.position(stream.epoch) ?? 0) + 1;
    if (stream.first > from) inbox.gap("expired");
    return history.from(stream, wireOf(inbox.subject), from);
  }

  /** The client makes the consumer anew when it is lost. When the stream is, it would wait for ever. */
  async #watch(messages: ConsumerMessages): Promise<void> {
    for await (const { type } of messages.status()) {
      if (type === "stream_not_found" || type === "consumer_deleted") break;
    }
    if (this.#reading?.messages !== messages) return;
    this.lost();
    await this.restored();
  }

  #stop(): void {
    this.#stops += 1;
    this.#opening = undefined;
    const { consumer, messages } = this.#reading ?? {};
    this.#reading = undefined;
    messages?.stop();
    if (consumer) this.#parts.history.release(consumer);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
