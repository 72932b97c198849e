import type { ServerResponse } from "node:http";
import { after } from "@lanai/connection/deadline";
import { comment, frame, type SseEvent } from "./frame.ts";
import type { StreamSettings } from "./options.ts";

/** The part of a stream's longest life by which it may be shorter, at random. */
const JITTER = 0.1;

/** The shortest and the longest time after which a client comes back whose stream was long enough. */
const BACK_AFTER = 1_000;
const BACK_WITHIN = 5_000;

/** A response of server-sent events. */
export class SseStream {
  /** Aborts when the connection ends. */
  readonly signal: AbortSignal;
  /** Resolves when the connection has ended. Never rejects. */
  readonly ended: Promise<void>;
  /** The number of events that `drop-oldest` has dropped. */
  dropped = 0;
  /** @internal Whether an event with an id was sent. */
  hasSentId = false;

  readonly #res: ServerResponse;
  readonly #settings: StreamSettings;
  readonly #queue: string[] = [];
  #queuedBytes = 0;
  #full = false;
  #over = false;
  #drained: PromiseWithResolvers<void> | undefined;

  /** @internal */
  constructor(res: ServerResponse, signal: AbortSignal, settings: StreamSettings) {
    this.#res = res;
    this.#settings = settings;
    this.signal = signal;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const { heartbeat, lifetime } = settings;
    const beat =
      heartbeat === Infinity
        ? undefined
        : setInterval(() => this.#full || this.#write(":\n\n"), heartbeat);
    const cancelEnd = after(lifetime * (1 - JITTER * Math.random()), () => this.#endOfLife());
    const end = () => {
      clearInterval(beat);
      cancelEnd();
      this.#over = true;
      this.#discard();
      resolve();
    };
    // A write after an end that somebody else made emits it; unheard, it would end the process.
    res.on("error", () => {});
    res.on("drain", () => this.#flush());
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  }

  /** Whether nothing more can be sent. */
  get isOver(): boolean {
    return this.#over;
  }

  /**
   * Sends an event, or lets it wait until the connection takes it. Does nothing on a stream that is over.
   *
   * @returns Whether there is room for more: `false` asks to wait for {@link drained}.
   * @throws TypeError for a field that can't be sent.
   */
  send(event: SseEvent): boolean {
    const text = frame(event);
    this.hasSentId ||= event.id !== undefined;
    return this.#write(text);
  }

  /** Sends a line that no page sees. */
  comment(text: string): boolean {
    return this.#write(comment(text));
  }

  /** Resolves when what was sent has been taken by the connection, or the stream is over. */
  drained(): Promise<void> {
    if (!this.#full || this.#over) return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  /**
   * Ends the stream after what was sent. An `EventSource` reconnects after `retry` milliseconds, with
   * the id of the last event that it received; if the response is then a 204, it stops.
   */
  end(options: { readonly retry?: number } = {}): void {
    if (this.#over) return;
    if (options.retry !== undefined) this.send({ retry: options.retry });
    this.#over = true;
    for (const text of this.#queue) this.#res.write(text);
    this.#discard();
    this.#res.end();
    const cancel = after(this.#settings.closeTimeout, () => this.#res.destroy());
    this.#res.once("close", cancel);
  }

  #endOfLife(): void {
    const retry = Math.round(BACK_AFTER + (BACK_WITHIN - BACK_AFTER) * Math.random());
    this.end({ retry: this.#settings.retry ?? retry });
  }

  #write(text: string): boolean {
    if (this.#over) return false;
    if (this.#full) this.#wait(text);
    else this.#full = !this.#res.write(text);
    return !this.#full && !this.#over;
  }

  #wait(text: string): void {
    this.#queue.push(text);
    this.#queuedBytes += Buffer.byteLength(text);
    if (!this.#isQueueFull()) return;
    if (this.#settings.queue.overflow === "close") {
      this.#over = true;
      this.#discard();
      this.#res.destroy();
      return;
    }
    // The newest stays, however large.
    while (this.#isQueueFull() && this.#queue.length > 1) {
      this.#next();
      this.dropped += 1;
    }
  }

  #isQueueFull(): boolean {
    const { limit, bytes } = this.#settings.queue;
    return this.#queue.length > limit || this.#queuedBytes > bytes;
  }

  #flush(): void {
    this.#full = false;
    while (this.#queue.length > 0 && !this.#full) this.#full = !this.#res.write(this.#next());
    if (this.#full) return;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #next(): string {
    const text = this.#queue.shift() ?? "";
    this.#queuedBytes -= Buffer.byteLength(text);
    return text;
  }

  #discard(): void {
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}
