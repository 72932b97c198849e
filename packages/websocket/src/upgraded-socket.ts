import type { Socket } from "node:net";
import { after, type Cancel } from "@lanai/connection/deadline";
import type { QueueOptions } from "@lanai/connection/queue";
import { RateMeter, type RateOptions } from "@lanai/connection/rate";
import type { RequestTrace } from "@lanai/connection/request-trace";
import type { ExtendableContext } from "koa";
import { WebSocket } from "ws";
import { WebSocketError } from "./errors.ts";
import { events } from "./events.ts";
import { HeldMessages } from "./held-messages.ts";

type Data = Parameters<WebSocket["send"]>[0];
type SendOptions = Parameters<WebSocket["send"]>[1];
type Sent = (error?: Error) => void;

export interface SocketLimits {
  readonly queue: Required<QueueOptions>;
  readonly rate: RateOptions;
  /** The most bytes of messages that wait for a listener; then the client is paused. */
  readonly heldBytes: number;
  /** The longest that a client is paused, in milliseconds; then it is closed. */
  readonly heldTimeout: number;
  /** Called when a socket has closed, before its listeners are. */
  readonly closed?: (socket: UpgradedSocket) => void;
}

/** A text that goes to many sockets: its bytes are made by the first of them, and kept. */
export interface SharedText {
  readonly text: string;
  /** Written by {@link UpgradedSocket.sendShared}. */
  bytes?: Buffer | undefined;
}

interface OutgoingMessage {
  readonly data: Data;
  readonly options: SendOptions;
  readonly sent: Sent | undefined;
  readonly size: number;
}

/** Bytes handed to the connection before messages wait here, where they can be dropped. */
const AHEAD = 64 * 1024;

/** The queue of a client that keeps up, the same for all. */
const NOTHING: OutgoingMessage[] = [];

const NO_LIMITS: SocketLimits = {
  queue: { limit: Infinity, bytes: Infinity, overflow: "close" },
  rate: {},
  heldBytes: Infinity,
  heldTimeout: Infinity,
};

const TEXT: SendOptions = { binary: false };

/** Bytes that one waiting message takes besides its own, so that empty ones are counted too. */
const OVERHEAD = 64;

/**
 * A `WebSocket` of ws, as `ctx.upgrade()` makes it. The differences:
 *
 * - Messages that come while the request's middlewares still run wait for a listener. Beyond
 *   `maxPayload` bytes the client is paused, and after `handshakeTimeout` it is closed with 1013.
 * - After {@link close} and {@link terminate} no message is delivered.
 * - The queue of messages to send is bounded; the event `overflow` is emitted when it was full.
 * - An invalid frame closes the socket, and needs no `error` listener.
 * - An error of a `message` listener closes the socket with 1011 and is emitted by the app.
 */
export class UpgradedSocket extends WebSocket {
  /** The number of messages that `drop-oldest` has dropped. */
  dropped = 0;

  #limits = NO_LIMITS;
  #trace: RequestTrace<ExtendableContext> | undefined;
  #queue = NOTHING;
  #queuedBytes = 0;
  #drained: PromiseWithResolvers<void> | undefined;

  /** While the request's middlewares run, and as long as their handler pauses what has come; then `undefined`. */
  #held: HeldMessages | undefined = new HeldMessages();
  /** Cancels the end of a client that is paused until its messages have a listener. */
  #cancelEnd: Cancel | undefined;
  #closing = false;
  #isAskedToPause = false;
  /** The callback of messages without one of their own. */
  #written: Sent | undefined;
  /** The bytes that had come when the client was last pinged; `undefined` before. */
  #bytesRead: number | undefined;
  #meter: RateMeter | undefined;
  /** Cancels the end of a pause that the rate limit asked for. */
  #cancelDebt: Cancel | undefined;

  /** @internal */
  begin(limits: SocketLimits, trace: RequestTrace<ExtendableContext>): void {
    this.#limits = limits;
    this.#trace = trace;
    // What a hostile client sends closes the socket; unheard, an error would end the process.
    this.on("error", nothing);
    // Node emits it to listeners only.
    this.on("newListener", nothing);
  }

  /** @internal Pings the client, or cuts a connection that has been silent since the ping before. */
  beat(isJudged: boolean): void {
    const { bytesRead } = this.#connection ?? {};
    // Any byte counts, because a pong waits behind a large message. A paused socket can't be heard.
    if (isJudged && bytesRead === this.#bytesRead && !this.isPaused) {
      this.terminate();
      return;
    }
    this.#bytesRead = bytesRead;
    this.ping();
  }

  get #connection(): Socket | null {
    return (this as unknown as { _socket: Socket | null })._socket;
  }

  #failed(error: unknown): void {
    this.close(1011, "failed");
    this.#trace?.context().onerror(error as Error);
  }

  /** @internal Called when the request's middlewares have settled: whoever wanted to listen does. */
  release(): void {
    if (this.#held === undefined) return;
    this.#held.isFinal = true;
    this.#deliver();
  }

  override emit(name: string | symbol, ...args: unknown[]): boolean {
    if (name === "newListener" && args[0] === "message" && this.#held) {
      queueMicrotask(() => this.#deliver());
    }
    if (name === "close") {
      this.#cancelDebt?.();
      this.#limits.closed?.(this);
    }
    if (name !== "message") return super.emit(name, ...args);
    if (this.#closing) return false;
    this.#count(sizeOf(args[0] as Data));
    if (this.#closing) return false;
    const isHeard = this.listenerCount("message") > 0;
    if (this.#held === undefined || (this.#held.count === 0 && isHeard)) {
      if (!isHeard) this.#reportUnheard();
      this.#tell(args);
      return isHeard;
    }
    this.#held.push(args, sizeOf(args[0] as Data));
    if (this.#held.bytes > this.#limits.heldBytes && !this.isPaused) this.#pauseHeld();
    return true;
  }

  /** The client has to wait until its average is within the rate limit, or to go. */
  #count(size: number): void {
    const { rate } = this.#limits;
    if (rate.messages === undefined && rate.bytes === undefined) return;
    this.#meter ??= new RateMeter(rate);
    const wait = this.#meter.take(size);
    if (wait === 0) return;
    if (this.#limits.rate.overflow === "close") {
      this.close(1013, "too fast");
      return;
    }
    this.#cancelDebt?.();
    super.pause();
    this.#cancelDebt = after(wait, () => {
      this.#cancelDebt = undefined;
      this.#readOn();
    });
  }

  /** Stops reading from the client, and delivering what has come, until {@link resume}. */
  override pause(): void {
    this.#isAskedToPause = true;
    super.pause();
  }

  override resume(): void {
    this.#isAskedToPause = false;
    // What has come is delivered before what comes next.
    if (this.#held?.count) queueMicrotask(() => this.#deliver());
    else this.#readOn();
  }

  /** Reads from the client if nothing keeps it paused. */
  #readOn(): void {
    if (this.#isAskedToPause || this.#cancelDebt || this.#cancelEnd) return;
    if (this.isPaused) super.resume();
  }

  #deliver(): void {
    const held = this.#held;
    if (held === undefined) return;
    const isHeard = (): boolean => !this.#closing && this.listenerCount("message") > 0;
    while (held.count > 0 && !this.#isAskedToPause && isHeard()) this.#tell(held.shift());
    if (held.isFinal && (held.count === 0 || !isHeard())) {
      if (held.count > 0) this.#reportUnheard();
      this.#held = undefined;
    }
    if (this.#held === undefined || held.count === 0 || isHeard()) this.#resumeHeld();
    else this.#readOn();
  }

  #pauseHeld(): void {
    super.pause();
    this.#cancelEnd = after(this.#limits.heldTimeout, () => {
      events.report("held-too-long", "held-too-long", {
        level: "warn",
        message: "A handler took so long to listen to a WebSocket that its client was closed.",
      });
      this.close(1013, "not listened to");
    });
  }

  #resumeHeld(): void {
    this.#cancelEnd?.();
    this.#cancelEnd = undefined;
    this.#readOn();
  }

  #reportUnheard(): void {
    events.report("unheard", "unheard", {
      level: "warn",
      message:
        "A message was dropped: the handler has returned, and the socket has no listener for messages.",
    });
  }

  /** Calls the listeners. An error of theirs would otherwise end the process. */
  #tell(args: unknown[]): void {
    for (const listener of this.rawListeners("message")) {
      try {
        const told: unknown = listener.apply(this, args);
        if (told instanceof Promise) told.catch((error: unknown) => this.#failed(error));
      } catch (error) {
        this.#failed(error);
      }
    }
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
    if (third === undefined && typeof second === "object" && this.#takesMore()) {
      // What is sent to thousands at once allocates nothing here.
      super.send(data, second, this.#ownSent);
      return this.readyState === WebSocket.OPEN && !this.#full();
    }
    const [options, sent] = typeof second === "function" ? [{}, second] : [second ?? {}, third];
    if (this.#takesMore()) this.#write(data, options, sent);
    else this.#wait({ data, options, sent, size: sizeOf(data) });
    return this.readyState === WebSocket.OPEN && !this.#full();
  }

  /** Sends a text as {@link send} does; it is encoded once, however many sockets it is sent to. */
  sendShared(shared: SharedText): boolean {
    shared.bytes ??= Buffer.from(shared.text);
    return this.send(shared.bytes, TEXT);
  }

  get #ownSent(): Sent {
    this.#written ??= () => this.#flush();
    return this.#written;
  }

  #takesMore(): boolean {
    return this.readyState !== WebSocket.OPEN || (this.#queue.length === 0 && !this.#full());
  }

  #wait(message: OutgoingMessage): void {
    if (this.#queue === NOTHING) this.#queue = [];
    this.#queue.push(message);
    this.#queuedBytes += message.size;
    if (this.#isQueueFull()) this.#overflows();
  }

  #full(): boolean {
    return this.bufferedAmount >= AHEAD;
  }

  #isQueueFull(): boolean {
    const { limit, bytes } = this.#limits.queue;
    return this.#queue.length > limit || this.#queuedBytes > bytes;
  }

  #write(data: Data, options: SendOptions, sent: Sent | undefined): void {
    const written: Sent =
      sent === undefined
        ? this.#ownSent
        : (error) => {
            sent(error);
            this.#flush();
          };
    super.send(data, options, written);
  }

  #writeNext(): void {
    const { data, options, sent } = this.#next();
    this.#write(data, options, sent);
  }

  #flush(): void {
    while (this.#queue.length > 0 && (this.readyState !== WebSocket.OPEN || !this.#full())) {
      this.#writeNext();
    }
    if (this.#queue.length > 0 || (this.readyState === WebSocket.OPEN && this.#full())) return;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #next(): OutgoingMessage {
    const message = this.#queue.shift() as OutgoingMessage;
    this.#queuedBytes -= message.size;
    return message;
  }

  #overflows(): void {
    const drop = (message: OutgoingMessage) => {
      this.dropped += 1;
      message.sent?.(
        new WebSocketError("ERR_WEBSOCKET_DROPPED", "the client is too slow for what it is sent"),
      );
    };
    if (this.#limits.queue.overflow === "close") {
      const all = this.#queue.splice(0);
      this.#queuedBytes = 0;
      this.close(1013, "too slow");
      for (const message of all) drop(message);
    } else {
      // The newest stays, however large.
      while (this.#isQueueFull() && this.#queue.length > 1) drop(this.#next());
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
    this.#sendWaiting();
    super.close(code, reason);
    this.#stopListening();
  }

  /**
   * Begins the closing handshake after what was sent, as {@link close} does, and goes on delivering
   * what the client sent before it knew, for `closeTimeout` at most. Resolves when the socket has closed.
   */
  finish(code?: number, reason?: string | Buffer): Promise<void> {
    if (this.readyState === WebSocket.CLOSED) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.once("close", () => resolve());
    this.#sendWaiting();
    super.close(code, reason);
    // A client that is paused could not answer.
    this.#cancelDebt?.();
    this.#cancelDebt = undefined;
    this.resume();
    return promise;
  }

  #sendWaiting(): void {
    if (this.readyState !== WebSocket.OPEN) return;
    while (this.#queue.length > 0) this.#writeNext();
  }

  /** Cuts the connection; from here on no message is delivered. */
  override terminate(): void {
    this.#stopListening();
    super.terminate();
  }

  #stopListening(): void {
    this.#closing = true;
    // The client's close frame must come through.
    this.#cancelDebt?.();
    this.#cancelDebt = undefined;
    this.#resumeHeld();
  }
}

function nothing(): void {}

function sizeOf(data: Data): number {
  if (typeof data === "string") return Buffer.byteLength(data) + OVERHEAD;
  if (Array.isArray(data)) return data.reduce((sum, it) => sum + (it.length ?? 1), OVERHEAD);
  if (typeof data === "object" && "byteLength" in data) return data.byteLength + OVERHEAD;
  if (typeof data === "object" && "size" in data) return Number(data.size) + OVERHEAD;
  return OVERHEAD;
}
