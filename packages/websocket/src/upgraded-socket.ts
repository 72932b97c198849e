import { WebSocket } from "ws";
import { WebSocketError } from "./errors.ts";
import type { OverflowPolicy } from "./options.ts";

type Data = Parameters<WebSocket["send"]>[0];
type SendOptions = Parameters<WebSocket["send"]>[1];
type Sent = (error?: Error) => void;

export interface Limits {
  /** In bytes, as the next. */
  readonly maxBuffered: number;
  readonly overflow: OverflowPolicy;
  /** Of what came before a listener: from there on the client has to wait. */
  readonly maxEarly: number;
}

interface Waiting {
  readonly data: Data;
  readonly options: SendOptions;
  readonly sent: Sent | undefined;
  readonly size: number;
}

/** How many bytes are handed to the connection before messages wait here, where they can be dropped. */
const AHEAD = 64 * 1024;

/** What one message that waits takes besides its bytes, so that empty ones are counted too. */
const OVERHEAD = 64;

/**
 * A `WebSocket` of ws, as `ctx.upgrade()` makes it. What differs:
 *
 * - Messages that come while the request's middlewares still run wait for a listener.
 * - After {@link close} and {@link terminate} no message is delivered.
 * - What waits to be sent is bounded; the event `overflow` says that the bound was met.
 * - An invalid frame closes the socket, and needs no `error` listener.
 * - What a `message` listener throws, or rejects with, closes the socket with 1011 and goes to the app.
 */
export class UpgradedSocket extends WebSocket {
  /** How many messages were left out by `drop-oldest`. */
  dropped = 0;

  #limits: Limits = { maxBuffered: Infinity, overflow: "close", maxEarly: Infinity };
  #failed: (error: unknown) => void = () => {};
  readonly #queue: Waiting[] = [];
  #queued = 0;
  #drained: PromiseWithResolvers<void> | undefined;

  /** Messages without a listener, while the request's middlewares run. */
  #early: unknown[][] | undefined = [];
  #earlySize = 0;
  #heldUp = false;
  #closing = false;

  /** @internal */
  begin(limits: Limits, failed: (error: unknown) => void): void {
    this.#limits = limits;
    this.#failed = failed;
    // What a hostile client sends closes the socket; unheard, an error would end the process.
    this.on("error", () => {});
    this.on("newListener", (name) => {
      if (name === "message") queueMicrotask(() => this.#deliver());
    });
  }

  /** @internal The request's middlewares are done: whoever wanted to listen does. */
  release(): void {
    this.#deliver();
    this.#early = undefined;
    this.#carryOn();
  }

  override emit(name: string | symbol, ...args: unknown[]): boolean {
    if (name !== "message") return super.emit(name, ...args);
    if (this.#closing) return false;
    const isHeard = this.listenerCount("message") > 0;
    if (this.#early === undefined || (this.#early.length === 0 && isHeard)) {
      this.#tell(args);
      return isHeard;
    }
    this.#early.push(args);
    this.#earlySize += sizeOf(args[0] as Data);
    if (this.#earlySize > this.#limits.maxEarly && !this.isPaused) {
      this.#heldUp = true;
      this.pause();
    }
    return true;
  }

  #deliver(): void {
    while (this.#early?.length && !this.#closing && this.listenerCount("message") > 0) {
      const args = this.#early.shift() ?? [];
      this.#earlySize -= sizeOf(args[0] as Data);
      this.#tell(args);
    }
    if (this.#early?.length === 0) this.#carryOn();
  }

  /** What a listener throws would end the process, or be a rejection that nobody handles. */
  #tell(args: unknown[]): void {
    for (const listener of this.rawListeners("message")) {
      try {
        const told: unknown = listener.apply(this, args);
        if (told instanceof Promise) told.catch(this.#failed);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  #carryOn(): void {
    if (!this.#heldUp) return;
    this.#heldUp = false;
    this.resume();
  }

  /**
   * Sends a message, or lets it wait until the connection takes it. Never throws for a client that
   * is slow or has left.
   *
   * @returns Whether there is room for more: `false` asks to wait for {@link drained}.
   */
  override send(data: Data, sent?: Sent): boolean;
  override send(data: Data, options: SendOptions, sent?: Sent): boolean;
  override send(data: Data, second?: SendOptions | Sent, third?: Sent): boolean {
    const [options, sent] = typeof second === "function" ? [{}, second] : [second ?? {}, third];
    const message = { data, options, sent, size: sizeOf(data) };
    if (this.readyState !== WebSocket.OPEN || (this.#queue.length === 0 && !this.#full())) {
      this.#write(message);
    } else {
      this.#queue.push(message);
      this.#queued += message.size;
      if (this.#queued > this.#limits.maxBuffered) this.#overflows();
    }
    return this.readyState === WebSocket.OPEN && !this.#full();
  }

  #full(): boolean {
    return this.bufferedAmount >= AHEAD;
  }

  #write({ data, options, sent }: Waiting): void {
    super.send(data, options, (error) => {
      sent?.(error);
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#queue.length > 0 && (this.readyState !== WebSocket.OPEN || !this.#full())) {
      this.#write(this.#next());
    }
    if (this.#queue.length > 0 || (this.readyState === WebSocket.OPEN && this.#full())) return;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #next(): Waiting {
    const message = this.#queue.shift() as Waiting;
    this.#queued -= message.size;
    return message;
  }

  #overflows(): void {
    const drop = (message: Waiting) => {
      this.dropped += 1;
      message.sent?.(
        new WebSocketError("ERR_WEBSOCKET_DROPPED", "the client is too slow for what it is sent"),
      );
    };
    if (this.#limits.overflow === "close") {
      const all = this.#queue.splice(0);
      this.#queued = 0;
      this.close(1013, "too slow");
      for (const message of all) drop(message);
    } else {
      // The newest stays, however large.
      while (this.#queued > this.#limits.maxBuffered && this.#queue.length > 1) drop(this.#next());
    }
    this.emit("overflow");
  }

  /** Resolves when what was sent has been taken by the connection, or the socket has closed. */
  drained(): Promise<void> {
    if (this.#queue.length === 0 && !this.#full()) return Promise.resolve();
    if (this.readyState === WebSocket.CLOSED) return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  /**
   * Begins the closing handshake after what was sent; from here on no message is delivered.
   *
   * @param code - 1000, or 3000 to 4999 (RFC 6455, 7.4.2).
   * @param reason - At most 123 bytes.
   */
  override close(code?: number, reason?: string | Buffer): void {
    if (this.readyState === WebSocket.OPEN) {
      while (this.#queue.length > 0) this.#write(this.#next());
    }
    super.close(code, reason);
    this.#stopListening();
  }

  /** Cuts the connection; from here on no message is delivered. */
  override terminate(): void {
    this.#stopListening();
    super.terminate();
  }

  #stopListening(): void {
    this.#closing = true;
    // The client's close frame must come through.
    this.#carryOn();
  }
}

function sizeOf(data: Data): number {
  if (typeof data === "string") return Buffer.byteLength(data) + OVERHEAD;
  if (Array.isArray(data)) return data.reduce((sum, it) => sum + (it.length ?? 1), OVERHEAD);
  if (typeof data === "object" && "byteLength" in data) return data.byteLength + OVERHEAD;
  if (typeof data === "object" && "size" in data) return Number(data.size) + OVERHEAD;
  return OVERHEAD;
}
