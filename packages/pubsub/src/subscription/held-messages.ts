import type { Message } from "../pubsub.ts";
import type { QueueLimits } from "./subscribe-options.ts";
import { sizeOf } from "./waiting-messages.ts";

/** A live message with its place, see `Inbox.push`. */
export interface HeldMessage {
  readonly message: Message;
  readonly stream: string | undefined;
  readonly position: number | undefined;
  /** Whether the message isn't in the stream, but was published after that position. */
  readonly isAfter: boolean;
}

/**
 * The live messages that wait until history has been read, in the order in which they came.
 *
 * They are bounded like the queue. If there are too many, all are forgotten: what a stream retains
 * can be read from there, and the rest is counted as lost. Which of them repeat the history is decided
 * by `Inbox`, when it takes them.
 */
export class HeldMessages {
  readonly #limits: QueueLimits;
  #held: HeldMessage[] = [];
  #bytes = 0;
  #hasForgotten = false;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** Returns how many messages are lost because there are too many: usually 0. */
  add(held: HeldMessage): number {
    this.#bytes += sizeOf(held.message);
    const { limit, bytes } = this.#limits;
    const hasRoom = this.#held.length < limit && this.#bytes <= bytes;
    this.#held.push(held);
    if (hasRoom && !this.#hasForgotten) return 0;
    this.#hasForgotten = true;
    return this.forget();
  }

  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** Forgets all, and returns how many can't be read from a stream. */
  forget(): number {
    const lost = this.#held.filter(({ position, isAfter }) => position === undefined || isAfter);
    this.#held = [];
    this.#bytes = 0;
    return lost.length;
  }

  /**
   * The last position of a stream that comes before all of its messages here; `undefined` if none is
   * of this stream.
   */
  startOf(stream: string): number | undefined {
    const first = this.#held.find((held) => held.stream === stream);
    if (first?.position === undefined) return undefined;
    return first.isAfter ? first.position : first.position - 1;
  }

  /** Takes all of them; `undefined` if some were forgotten, and then it begins again. */
  release(): readonly HeldMessage[] | undefined {
    if (!this.#hasForgotten) return this.#held;
    this.#hasForgotten = false;
    return undefined;
  }
}
