import type { PubSub, Subscription } from "@lanai/pubsub";
import { report } from "./events.ts";

/** What processes tell each other; the rest is a word's own. */
export interface Note {
  /** Of this format. A note of another version is left alone. */
  readonly v: 1;
  /** Which process says so. */
  readonly node: string;
  readonly [name: string]: unknown;
}

interface Topic {
  count: number;
  subscription: Promise<Subscription | undefined>;
  handler: (note: Note) => void;
}

/** Milliseconds until a subscription that failed is tried again. */
const RETRY = [50, 2_000] as const;

export interface RelayOptions {
  readonly pubsub: PubSub | undefined;
  readonly node: string;
  /** For how long anything waits for the bus, in milliseconds. */
  readonly timeout: number;
  /** The bus is back, or what it brought had a gap: what came meanwhile is unknown. */
  readonly missed: () => void;
  /** What this process itself has published came back. */
  readonly heard: () => void;
}

/**
 * The bus between processes, for whom it is no reason to fail or to wait for long: local work goes
 * on without it, what is subscribed stays wanted, and it is told when it is back.
 */
export class Relay {
  readonly node: string;
  readonly #pubsub: PubSub | undefined;
  readonly #timeout: number;
  readonly #missed: () => void;
  readonly #heard: () => void;
  readonly #topics = new Map<string, Topic>();
  #isUp = true;
  #isClosed = false;

  constructor({ pubsub, node, timeout, missed, heard }: RelayOptions) {
    this.#pubsub = pubsub;
    this.node = node;
    this.#timeout = timeout;
    this.#missed = missed;
    this.#heard = heard;
  }

  get isAlone(): boolean {
    return this.#pubsub === undefined;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get size(): number {
    return this.#topics.size;
  }

  /**
   * Hears what others publish on a subject, until it was released as often as it was retained.
   * Resolves when it does, or when that takes too long: then as soon as it can.
   */
  async retain(subject: string, handler: (note: Note) => void): Promise<void> {
    if (this.#pubsub === undefined || this.#isClosed) return;
    let topic = this.#topics.get(subject);
    if (topic) {
      topic.count++;
    } else {
      topic = { count: 1, handler, subscription: Promise.resolve(undefined) };
      this.#topics.set(subject, topic);
      topic.subscription = this.#subscribe(this.#pubsub, subject, topic, RETRY[0]);
    }
    await topic.subscription;
  }

  release(subject: string): void {
    const topic = this.#topics.get(subject);
    if (topic === undefined || --topic.count > 0) return;
    this.#topics.delete(subject);
    void topic.subscription.then((it) => it?.unsubscribe()).catch(() => {});
  }

  async #subscribe(
    pubsub: PubSub,
    subject: string,
    topic: Topic,
    wait: number,
  ): Promise<Subscription | undefined> {
    const isWanted = () => !this.#isClosed && topic.count > 0;
    const attempt = new AbortController();
    try {
      const subscription = await this.#inTime(
        pubsub.subscribe(subject, ({ data }) => this.#receive(data, topic), {
          queue: { overflow: "drop-oldest" },
          signal: attempt.signal,
          onGap: () => this.#missed(),
          onError: () => {},
        }),
      );
      void subscription.closed.then(() => {
        if (!isWanted()) return;
        this.#missed();
        topic.subscription = this.#subscribe(pubsub, subject, topic, RETRY[0]);
      });
      return subscription;
    } catch (error) {
      // One that is late must not come beside the next.
      attempt.abort();
      this.#setUp(false, error);
      // Tried again apart from those who wait for this try.
      const retry = setTimeout(() => {
        if (!isWanted()) return;
        topic.subscription = this.#subscribe(pubsub, subject, topic, Math.min(wait * 2, RETRY[1]));
        void topic.subscription.then((it) => it && this.#missed());
      }, wait);
      retry.unref();
      return undefined;
    }
  }

  #receive(data: Uint8Array | string, topic: Topic): void {
    if (topic.count === 0) return;
    const note = parseNote(data);
    if (note === undefined) return;
    if (note.node === this.node) this.#heard();
    else topic.handler(note);
  }

  /** @returns Whether the bus took it in time. */
  publish(subject: string, note: Record<string, unknown>): Promise<boolean> {
    const pubsub = this.#pubsub;
    if (pubsub === undefined || this.#isClosed) return Promise.resolve(false);
    const text = JSON.stringify({ v: 1, node: this.node, ...note });
    // Not one after the other: the bus keeps their order, and one that hangs holds up no other.
    return this.#inTime(pubsub.publish(subject, text)).then(
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
    report(
      "bus",
      isUp ? { level: "info", reason: "up" } : { level: "error", reason: "down", error },
    );
    if (isUp) this.#missed();
  }

  #inTime<T>(promise: Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new Error(`the bus took longer than ${this.#timeout} ms`)),
      this.#timeout,
    );
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const topics = [...this.#topics.values()];
    this.#topics.clear();
    const ending = topics.map(async ({ subscription }) => (await subscription)?.unsubscribe());
    await this.#inTime(Promise.allSettled(ending)).catch(() => {});
  }
}

function parseNote(data: Uint8Array | string): Note | undefined {
  try {
    const note = JSON.parse(typeof data === "string" ? data : Buffer.from(data).toString());
    return note?.v === 1 && typeof note.node === "string" ? note : undefined;
  } catch {
    return undefined;
  }
}
