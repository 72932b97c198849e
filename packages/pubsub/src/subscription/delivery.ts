import type { Handler, Message } from "../pubsub.ts";
import type { FailureReports } from "./failure-reports.ts";
import type { WaitingMessages } from "./waiting-messages.ts";

/** Handlers that publish to each other deeper than this continue in a microtask. */
const MAX_DEPTH = 50;
let depth = 0;

/** Calls the handler of one subscription, for one message at a time, until it is stopped. */
export class Delivery {
  /** The id of the message that the handler was called for last, or where the subscription began. */
  cursor: string | undefined;
  readonly #handler: Handler;
  readonly #waiting: WaitingMessages;
  readonly #reports: FailureReports;
  #isBusy = false;
  #isStopped = false;
  #roomWanted: (() => void)[] | undefined;

  constructor(handler: Handler, waiting: WaitingMessages, reports: FailureReports) {
    this.#handler = handler;
    this.#waiting = waiting;
    this.#reports = reports;
  }

  /** Delivers what waits, unless that is being done already. */
  run(): void {
    if (this.#isBusy || this.#waiting.isEmpty) return;
    if (depth >= MAX_DEPTH) {
      queueMicrotask(() => this.run());
      return;
    }
    this.#isBusy = true;
    depth += 1;
    while (!this.#isStopped && !this.#waiting.isEmpty) {
      const pending = this.#step();
      if (pending !== undefined) {
        depth -= 1;
        this.#makeRoom();
        void pending.then(() => this.#continue());
        return;
      }
    }
    depth -= 1;
    this.#isBusy = false;
    this.#makeRoom();
  }

  /** Resolves when more history may be read, or nothing is delivered any more. */
  room(): Promise<void> | void {
    if (this.#waiting.hasRoom) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#roomWanted ??= [];
    this.#roomWanted.push(resolve);
    return promise;
  }

  /** Drops what waits: the handler isn't called again. */
  stop(): void {
    this.#isStopped = true;
    this.#waiting.clear();
    this.#callRoomWanted();
  }

  #continue(): void {
    this.#isBusy = false;
    this.#makeRoom();
    this.run();
  }

  /** Delivers what is next; returns a promise if the handler isn't done. */
  #step(): Promise<void> | undefined {
    const next = this.#waiting.take();
    if (typeof next === "number") this.#reports.callOnGap(this.#reports.gap("overflow", next));
    else if (next?.gap) this.#reports.callOnGap(next.gap);
    else if (next?.message) return this.#call(next.message);
    return undefined;
  }

  #call(message: Message): Promise<void> | undefined {
    if (message.id !== undefined) this.cursor = message.id;
    try {
      const result = this.#handler(message);
      if (isThenable(result)) {
        return Promise.resolve(result).then(undefined, (error) =>
          this.#reports.handlerError(error, message),
        );
      }
    } catch (error) {
      this.#reports.handlerError(error, message);
    }
    return undefined;
  }

  #makeRoom(): void {
    if (this.#roomWanted && this.#waiting.hasRoom) this.#callRoomWanted();
  }

  #callRoomWanted(): void {
    const wanted = this.#roomWanted ?? [];
    this.#roomWanted = undefined;
    for (const resolve of wanted) resolve();
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { then?: unknown }).then === "function";
