import type { QueueOptions } from "@lanai/connection/queue";
import type { LiveMessage } from "./message.ts";

/** The listener that an {@link Outgoing} writes for. */
export interface OutgoingOwner {
  /** Writes a message. A promise says that there is room for another when it settles. */
  write(message: LiveMessage): void | Promise<void>;
  /** The queue was full: its oldest messages are dropped, or the listener should end. */
  full(policy: "close" | "drop-oldest"): void;
  failed(): void;
}

const DEFAULTS: Required<QueueOptions> = { limit: 256, bytes: 1_048_576, overflow: "close" };
const NOTHING: readonly LiveMessage[] = [];

/**
 * The queue of messages that wait for one listener: in order, and bounded. As long as the connection
 * takes them, messages are written at once and nothing is allocated.
 */
export class Outgoing {
  readonly #options: Required<QueueOptions>;
  readonly #owner: OutgoingOwner;
  #waiting: LiveMessage[] | undefined;
  #bytes = 0;
  #state: "held" | "ready" | "busy" | "closed" = "held";

  constructor(options: QueueOptions, owner: OutgoingOwner) {
    this.#options = Object.keys(options).length === 0 ? DEFAULTS : { ...DEFAULTS, ...options };
    this.#owner = owner;
  }

  push(message: LiveMessage): void {
    if (this.#state === "ready") {
      this.#write(message);
    } else if (this.#state !== "closed") {
      this.#waiting ??= [];
      this.#waiting.push(message);
      this.#bytes += message.size;
      if (this.#isFull()) this.#overflow();
    }
  }

  /** Begins to write: until then all messages wait. */
  open(): void {
    if (this.#state === "held") this.#resume();
  }

  close(): void {
    this.#state = "closed";
    this.#waiting = undefined;
    this.#bytes = 0;
  }

  #isFull(): boolean {
    const { limit, bytes } = this.#options;
    const { length } = this.#waiting ?? NOTHING;
    return length > limit || (length > 1 && this.#bytes > bytes);
  }

  #overflow(): void {
    const { overflow } = this.#options;
    this.#owner.full(overflow);
    if (overflow !== "drop-oldest") return;
    while (this.#isFull()) this.#bytes -= this.#waiting?.shift()?.size ?? 0;
  }

  #resume(): void {
    this.#state = "ready";
    while (this.#isReady()) {
      const message = this.#waiting?.shift();
      if (message === undefined) {
        this.#waiting = undefined;
        return;
      }
      this.#bytes -= message.size;
      this.#write(message);
    }
  }

  /** Asked again after each message: writing one may change the state. */
  #isReady(): boolean {
    return this.#state === "ready";
  }

  #write(message: LiveMessage): void {
    try {
      const written = this.#owner.write(message);
      if (written !== undefined) this.#wait(written);
    } catch {
      this.#owner.failed();
    }
  }

  #wait(written: Promise<void>): void {
    this.#state = "busy";
    written.then(
      () => {
        if (this.#state === "busy") this.#resume();
      },
      () => this.#owner.failed(),
    );
  }
}
