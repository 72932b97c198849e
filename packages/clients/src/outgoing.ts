import type { LiveMessage } from "./message.ts";

export interface QueueOptions {
  /** Messages that wait for a slow connection at most. From 1 to 100,000. Default: 256. */
  readonly limit?: number;
  /** What they take together at most, in characters. Default: 1,048,576. */
  readonly size?: number;
  /**
   * `close` ends the listener (1013: it comes back); `drop-oldest` keeps it and lets go of what has
   * waited longest. Default: `close`.
   */
  readonly overflow?: "close" | "drop-oldest";
}

export interface OutgoingHooks {
  /** Hands a message on; a promise: it has room again when that settles. */
  send(message: LiveMessage): void | Promise<void>;
  /** It was full: `dropped` messages are gone, or the listener should end. */
  full(policy: "close" | "drop-oldest"): void;
  failed(error: unknown): void;
}

/** What waits for one listener: in order, bounded, and nobody else waits for it. */
export class Outgoing {
  readonly #options: Required<QueueOptions>;
  readonly #hooks: OutgoingHooks;
  #waiting: LiveMessage[] = [];
  #size = 0;
  #state: "held" | "ready" | "busy" | "closed" = "held";

  constructor(options: QueueOptions, hooks: OutgoingHooks) {
    this.#options = {
      limit: options.limit ?? 256,
      size: options.size ?? 1_048_576,
      overflow: options.overflow ?? "close",
    };
    this.#hooks = hooks;
  }

  push(message: LiveMessage): void {
    if (this.#state === "closed") return;
    this.#waiting.push(message);
    this.#size += message.size;
    this.#flush();
    if (!this.#isFull()) return;
    const { overflow } = this.#options;
    this.#hooks.full(overflow);
    if (overflow === "drop-oldest") this.#drop();
  }

  /** Lets what has waited go. */
  open(): void {
    if (this.#state !== "held") return;
    this.#state = "ready";
    this.#flush();
  }

  close(): void {
    this.#state = "closed";
    this.#waiting = [];
    this.#size = 0;
  }

  #isFull(): boolean {
    const { limit, size } = this.#options;
    const { length } = this.#waiting;
    return length > limit || (length > 1 && this.#size > size);
  }

  #drop(): void {
    while (this.#isFull()) this.#size -= this.#waiting.shift()?.size ?? 0;
  }

  #flush(): void {
    while (this.#state === "ready") {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      this.#size -= message.size;
      try {
        const sent = this.#hooks.send(message);
        if (sent !== undefined) this.#wait(sent);
      } catch (error) {
        this.#hooks.failed(error);
      }
    }
  }

  #wait(sent: Promise<void>): void {
    this.#state = "busy";
    sent.then(
      () => {
        if (this.#state !== "busy") return;
        this.#state = "ready";
        this.#flush();
      },
      (error) => this.#hooks.failed(error),
    );
  }
}
