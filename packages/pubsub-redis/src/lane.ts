import type { PubSubError } from "@lanai/pubsub";
import { unavailable } from "./client.ts";

export interface Outgoing {
  readonly subject: string;
  readonly data: string | Buffer;
  /** Empty for none. */
  readonly messageId: string;
  /** When its publisher is told that it failed, by `performance.now`. They grow. */
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: PubSubError) => void;
}

/** Sends a batch under a name of its own, and answers what it could not send here. */
export type Send = (
  batch: readonly Outgoing[],
  name: string,
) => Promise<readonly Outgoing[] | undefined>;

/** What waits in all lanes of a backend, and how many batches they have sent. */
export interface Load {
  messages: number;
  bytes: number;
  batches: number;
}

/** A script with so much doesn't hold up Redis. */
const AT_ONCE = 500;
const BYTES_AT_ONCE = 2 ** 20;

/**
 * Messages on their way to Redis, one batch at a time: what is published while one is under way is
 * the next. So they stay in order, also when the client sends a batch again after a lost connection,
 * and Redis needs to remember no more than the name of the last.
 */
export class Lane {
  readonly #send: Send;
  readonly #load: Load;
  readonly #onRest: () => void;
  #waiting: Outgoing[] = [];
  #underWay: readonly Outgoing[] = [];
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `onRest` is called when nothing has been on its way for as long as a publisher waits. */
  constructor(load: Load, send: Send, onRest: () => void = () => {}) {
    this.#load = load;
    this.#send = send;
    this.#onRest = onRest;
  }

  push(message: Outgoing): void {
    this.#waiting.push(message);
    this.#weigh(message, 1);
    if (this.#timer === undefined) this.#watch();
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is left. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Gives up what is left. */
  abandon(error: PubSubError): void {
    clearTimeout(this.#timer);
    for (const message of this.#underWay) message.reject(error);
    for (const message of this.#take(this.#waiting.length)) message.reject(error);
  }

  async #run(): Promise<void> {
    // Whoever publishes has more to say in this turn.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      this.#underWay = this.#take(this.#fitting());
      // Of all lanes: the one that comes after this one must not use a name again.
      this.#load.batches += 1;
      try {
        const unsent = await this.#send(this.#underWay, `${this.#load.batches}`);
        if (unsent === undefined) for (const message of this.#underWay) message.resolve();
        else this.#putBack(unsent);
      } catch (error) {
        for (const message of this.#underWay) message.reject(error as PubSubError);
      }
      this.#underWay = [];
    }
    this.#running = undefined;
    this.#rest();
  }

  #rest(): void {
    if (this.#running === undefined && this.#timer === undefined) this.#onRest();
  }

  #fitting(): number {
    let bytes = 0;
    for (const [n, { data }] of this.#waiting.entries()) {
      bytes += data.length;
      if (n === AT_ONCE || (n > 0 && bytes > BYTES_AT_ONCE)) return n;
    }
    return this.#waiting.length;
  }

  #take(count: number): readonly Outgoing[] {
    const taken = this.#waiting.splice(0, count);
    for (const message of taken) this.#weigh(message, -1);
    return taken;
  }

  #putBack(messages: readonly Outgoing[]): void {
    for (const message of messages) this.#weigh(message, 1);
    this.#waiting = [...messages, ...this.#waiting];
  }

  #weigh({ data }: Outgoing, sign: 1 | -1): void {
    this.#load.messages += sign;
    this.#load.bytes += sign * data.length;
  }

  /** Who has waited too long is told so; what was not sent by then is never sent. */
  #watch(now: number = performance.now()): void {
    const next = this.#underWay.find(({ deadline }) => deadline > now) ?? this.#waiting[0];
    // What keeps the process running, if anything, is the connection.
    this.#timer = next && setTimeout(() => this.#tell(), next.deadline - now).unref();
  }

  #tell(): void {
    const now = performance.now();
    const error = unavailable(new Error("Redis didn't answer in time"));
    for (const message of this.#underWay) if (message.deadline <= now) message.reject(error);
    const inTime = this.#waiting.findIndex(({ deadline }) => deadline > now);
    const late = this.#take(inTime < 0 ? this.#waiting.length : inTime);
    for (const message of late) message.reject(error);
    // The same moment: none must be late only for the one or only for the other.
    this.#watch(now);
    this.#rest();
  }
}
