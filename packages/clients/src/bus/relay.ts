import type { KeyObject } from "node:crypto";
import { within } from "@lanai/connection/deadline";
import { type Note, NoteSeal, type Received } from "@lanai/connection/note-seal";
import type { Message, PubSub, SubscribeOptions, Subscription } from "@lanai/pubsub";
import { events } from "../events.ts";

/** A subject that is subscribed, or wanted. There are some for each tab, so that it keeps little. */
interface Topic<Of = unknown> {
  readonly subject: string;
  readonly handler: (note: Note, of: Of) => void;
  readonly of: Of;
  count: number;
  /** The newest attempt to subscribe it, while it is under way. */
  attempt: Promise<void> | undefined;
  subscription: Subscription | undefined;
  /** Made with the first note, if there are keys. */
  received: Received | undefined;
}

/** Milliseconds until a subscription that failed is tried again. */
const RETRY = [50, 2_000] as const;
/** The least time between two requests for everything because notes were refused, in milliseconds. */
const RESYNC_INTERVAL = 10_000;

/** The errors after which a subscription goes on. */
const OF_ONE_MESSAGE: readonly string[] = ["ERR_PUBSUB_HANDLER", "ERR_PUBSUB_DECODE"];

/** Without keys no sender is remembered. */
const NOBODY: Received = new Map();

export interface RelayOptions {
  /** The subjects of this package on the bus; see `libraryPubSub`. */
  readonly pubsub: PubSub | undefined;
  readonly node: string;
  /** Keys that authenticate notes. Default: none, and notes carry no MAC. */
  readonly keys?: readonly KeyObject[] | undefined;
  /** The longest that anything waits for the bus, in milliseconds. */
  readonly timeout: number;
  /** Called when notes may have been missed: the bus is back, or reported a gap. */
  readonly missed: () => void;
  /** Called when a note of this process has come back over the bus. */
  readonly onEcho: () => void;
}

/**
 * The bus between the processes. Its outage makes nothing fail and nothing wait for long: local work
 * goes on, subscriptions are tried again, and `missed` is called when it is back.
 */
export class Relay {
  readonly node: string;
  readonly #options: RelayOptions;
  readonly #seal: NoteSeal;
  readonly #topics = new Map<string, Topic>();
  /** The same for each subject. */
  readonly #subscribeOptions: SubscribeOptions = {
    queue: { overflow: "drop-oldest" },
    onGap: () => this.#missed(),
    onError: ({ code }) => {
      if (!OF_ONE_MESSAGE.includes(code)) this.#replaceClosed();
    },
  };
  /** The beginning of the text of each note of this process, if there are no keys. */
  readonly #ownBeginning: string;
  #isUp = true;
  #isClosed = false;
  #isAsking = false;
  #lastResync = -Infinity;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.node = options.node;
    const { node, keys } = options;
    this.#seal = new NoteSeal({ node, purpose: "@lanai/clients", keys });
    this.#ownBeginning = `{"v":1,"node":${JSON.stringify(options.node)}`;
  }

  /** Whether there is no bus. */
  get isAlone(): boolean {
    return this.#options.pubsub === undefined;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** The number of subjects that are subscribed. */
  get size(): number {
    return this.#topics.size;
  }

  /**
   * Subscribes a subject until it was released as often as it was retained. Resolves when it is
   * subscribed, or after the timeout: then it is subscribed as soon as possible. `handler` is called
   * with each note and `of`, so that one function serves many subjects.
   */
  async retain<Of = undefined>(
    subject: string,
    handler: (note: Note, of: Of) => void,
    of?: Of,
  ): Promise<void> {
    if (this.isAlone || this.#isClosed) return;
    let topic = this.#topics.get(subject);
    if (topic) {
      topic.count++;
    } else {
      const begun: Topic<Of> = {
        subject,
        handler,
        of: of as Of,
        count: 1,
        attempt: undefined,
        subscription: undefined,
        received: undefined,
      };
      topic = begun as Topic;
      this.#topics.set(subject, topic);
      this.#begin(topic, RETRY[0]);
    }
    await topic.attempt;
  }

  release(subject: string): void {
    const topic = this.#topics.get(subject);
    if (topic === undefined || --topic.count > 0) return;
    this.#topics.delete(subject);
    void this.#unsubscribe(topic);
  }

  async #unsubscribe(topic: Topic): Promise<void> {
    await topic.attempt;
    await topic.subscription?.unsubscribe().catch(() => {});
  }

  /** Subscribes a topic; after a failure it is tried again. */
  #begin(topic: Topic, wait: number): void {
    const attempt = this.#subscribe(topic, wait).finally(() => {
      if (topic.attempt === attempt) topic.attempt = undefined;
    });
    topic.attempt = attempt;
  }

  async #subscribe(topic: Topic, wait: number): Promise<void> {
    const { pubsub } = this.#options;
    const subscribing = pubsub?.subscribe(
      topic.subject,
      this.#receiverOf(topic),
      this.#subscribeOptions,
    );
    if (subscribing === undefined) return;
    try {
      topic.subscription = await this.#inTime(subscribing);
    } catch (error) {
      // One that is late must not come beside the next.
      subscribing.then(
        (late) => late.unsubscribe(),
        () => {},
      );
      topic.subscription = undefined;
      this.#setUp(false, error);
      // Tried again apart from those who wait for this attempt.
      setTimeout(() => this.#retry(topic, Math.min(wait * 2, RETRY[1])), wait).unref();
    }
  }

  /** A function of its own: what it refers to lives as long as the subscription. */
  #receiverOf(topic: Topic): (message: Message) => void {
    return ({ data }) => this.#receive(data, topic);
  }

  #isWanted(topic: Topic): boolean {
    return !this.#isClosed && topic.count > 0;
  }

  /** Subscribes again what the bus has closed: it reports why, but not for which of them. */
  #replaceClosed(): void {
    for (const topic of this.#topics.values()) {
      if (topic.subscription?.status !== "closed" || topic.attempt || !this.#isWanted(topic))
        continue;
      this.#missed();
      this.#begin(topic, RETRY[0]);
    }
  }

  #retry(topic: Topic, wait: number): void {
    if (!this.#isWanted(topic)) return;
    this.#begin(topic, wait);
    void topic.attempt?.then(() => topic.subscription && this.#missed());
  }

  #receive(data: Uint8Array | string, topic: Topic): void {
    if (topic.count === 0) return;
    const text = typeof data === "string" ? data : Buffer.from(data).toString();
    // Without keys nothing else of an own note is read.
    if (this.#options.keys === undefined && text.startsWith(this.#ownBeginning)) {
      this.#options.onEcho();
      return;
    }
    if (this.#options.keys) topic.received ??= new Map();
    const opened = this.#seal.read(topic.subject, text, topic.received ?? NOBODY);
    if (opened.status === "refused") this.#refuse(opened.reason);
    if (opened.status !== "accepted") return;
    const { note } = opened;
    // Own notes end here: they only show that the bus brings them back.
    if (note.node === this.node) this.#options.onEcho();
    else topic.handler(note, topic.of);
  }

  /** Every subscription reports the same outage: what was missed is asked for once. */
  #missed(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    queueMicrotask(() => {
      this.#isAsking = false;
      if (!this.#isClosed) this.#options.missed();
    });
  }

  /** A refused note may be one that was delayed: what it said is asked for, but not too often. */
  #refuse(reason: string): void {
    events.report("refused", reason, { level: "warn", reason });
    const now = performance.now();
    if (now - this.#lastResync < RESYNC_INTERVAL) return;
    this.#lastResync = now;
    this.#missed();
  }

  /** @returns Whether the bus accepted the note in time. */
  publish(subject: string, content: Readonly<Record<string, unknown>>): Promise<boolean> {
    const { pubsub } = this.#options;
    if (pubsub === undefined || this.#isClosed) return Promise.resolve(false);
    // Not one after the other: the bus keeps their order, and one that hangs delays no other.
    return this.#inTime(pubsub.publish(subject, this.#seal.write(subject, content))).then(
      () => {
        this.#setUp(true);
        return true;
      },
      (error) => {
        this.#setUp(false, error);
        return false;
      },
    );
  }

  #setUp(isUp: boolean, error?: unknown): void {
    if (this.#isUp === isUp || this.#isClosed) return;
    this.#isUp = isUp;
    events.emit(
      "bus",
      isUp ? { level: "info", reason: "up" } : { level: "error", reason: "down", error },
    );
    if (isUp) this.#missed();
  }

  #inTime<T>(promise: Promise<T>): Promise<T> {
    const { timeout } = this.#options;
    return within(timeout, promise, () => {
      throw new Error(`the bus took longer than ${timeout} ms`);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const topics = [...this.#topics.values()];
    this.#topics.clear();
    const ending = topics.map((topic) => this.#unsubscribe(topic));
    await this.#inTime(Promise.allSettled(ending)).catch(() => {});
  }
}
