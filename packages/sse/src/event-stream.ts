import type { ServerResponse } from "node:http";
import { comment, frame, type SseEvent } from "./frame.ts";
import type { OverflowPolicy } from "./options.ts";

export interface StreamSettings {
  readonly heartbeat: number;
  readonly maxBuffered: number;
  readonly overflow: OverflowPolicy;
  readonly closeTimeout: number;
}

/** One open response of server-sent events. */
export class EventStream {
  /** Aborts when the connection ends. */
  readonly signal: AbortSignal;
  /** Resolves when the connection has ended. Never rejects. */
  readonly ended: Promise<void>;
  /** How many events were left out by `drop-oldest`. */
  dropped = 0;

  readonly #res: ServerResponse;
  readonly #settings: StreamSettings;
  readonly #queue: string[] = [];
  #queued = 0;
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
    const heartbeat =
      settings.heartbeat === Infinity
        ? undefined
        : setInterval(() => this.#full || this.#write(":\n\n"), settings.heartbeat);
    const end = () => {
      clearInterval(heartbeat);
      this.#over = true;
      this.#discard();
      resolve();
    };
    res.on("drain", () => this.#flush());
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  }

  /** Whether nothing more can be sent. */
  get isOver(): boolean {
    return this.#over;
  }

  /**
   * Sends an event, or lets it wait until the connection takes it. A stream that is over takes none,
   * and doesn't throw.
   *
   * @returns Whether there is room for more: `false` asks to wait for {@link drained}.
   * @throws TypeError for a field that can't be sent.
   */
  send(event: SseEvent): boolean {
    return this.#write(frame(event));
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
   * Ends the stream after what was sent. An `EventSource` comes back, with the id of the last event
   * that it got, after `retry` milliseconds; answered 204 it stops.
   */
  end(options: { readonly retry?: number } = {}): void {
    if (this.#over) return;
    if (options.retry !== undefined) this.send({ retry: options.retry });
    this.#over = true;
    for (const text of this.#queue) this.#res.write(text);
    this.#discard();
    this.#res.end();
    const timer = setTimeout(() => this.#res.destroy(), this.#settings.closeTimeout);
    this.#res.once("close", () => clearTimeout(timer));
  }

  #write(text: string): boolean {
    if (this.#over) return false;
    if (this.#full) this.#wait(text);
    else this.#full = !this.#res.write(text);
    return !this.#full && !this.#over;
  }

  #wait(text: string): void {
    const { maxBuffered, overflow } = this.#settings;
    this.#queue.push(text);
    this.#queued += Buffer.byteLength(text);
    if (this.#queued <= maxBuffered) return;
    if (overflow === "close") {
      this.#over = true;
      this.#discard();
      this.#res.destroy();
      return;
    }
    // The newest stays, however large.
    while (this.#queued > maxBuffered && this.#queue.length > 1) {
      this.#next();
      this.dropped += 1;
    }
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
    this.#queued -= Buffer.byteLength(text);
    return text;
  }

  #discard(): void {
    this.#queue.length = 0;
    this.#queued = 0;
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}
