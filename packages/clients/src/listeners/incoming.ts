import { after, type Cancel } from "@lanai/connection/deadline";
import { RateMeter, type RateOptions } from "@lanai/connection/rate";
import type { Inbound } from "../transports/sink.ts";
import { parseMessage } from "./message.ts";

/** The listener that an {@link Incoming} reads for. */
export interface IncomingOwner {
  /** Returns whether an event has a handler. */
  isHeard(event: string): boolean;
  /** Calls the handlers of an event. */
  dispatch(event: string, data: unknown): void;
  /** Handles a `session` message; what comes after it waits until the promise settles. */
  receiveToken(data: unknown): Promise<void>;
  /** Reports a message that has no handler: it is dropped, or so much is `held` that the transport is paused. */
  unheard(event: string, reason: "dropped" | "held"): void;
  /** Makes the transport stop or resume reading, and returns whether it can. */
  pause(isPaused: boolean): boolean;
  end(reason: "malformed" | "limit"): void;
}

interface Message {
  readonly event: string;
  readonly data: unknown;
  readonly size: number;
}

/** Shared by all that have nothing waiting, and never changed. */
const NOTHING: never[] = [];
/** Bytes that wait before the transport is paused. Twice that, while it is paused, ends the listener. */
const LIMIT = 256 * 1024;
/** The bytes that a message takes besides its text, so that empty ones are counted too. */
const OVERHEAD = 64;
/** The longest that a transport is paused because messages wait for the app, in milliseconds. */
const LONGEST_PAUSE = 10_000;

/**
 * The messages of a browser, on their way to handlers. Texts wait while the listener is attached or a
 * token is checked; then each message waits until its event has a handler, or until the app had its
 * chance to add one.
 */
export class Incoming implements Inbound {
  readonly #owner: IncomingOwner;
  readonly #rate: Required<RateOptions>;
  /** Made with the first message: most listeners never send one. */
  #meter: RateMeter | undefined;
  #state: "waiting" | "open" | "closed" = "waiting";
  #texts: string[] = NOTHING;
  #messages: Message[] = NOTHING;
  #bytes = 0;
  #isFlushing = false;
  #isSettled = false;
  /** Cancels the end of a listener whose messages wait too long for the app. */
  #cancelEnd: Cancel | undefined;
  /** Cancels the end of a pause that the rate limit asked for. */
  #cancelDebt: Cancel | undefined;

  constructor(owner: IncomingOwner, rate: Required<RateOptions>) {
    this.#owner = owner;
    this.#rate = rate;
  }

  receive(text: string): void {
    if (this.#state === "closed") return;
    const size = sizeOf(text);
    this.#count(size);
    if (this.#state === "open") {
      this.#read(text, size);
    } else if (this.#state === "waiting") {
      if (this.#texts === NOTHING) this.#texts = [];
      this.#texts.push(text);
      this.#hold(size);
    }
  }

  refuse(): void {
    if (this.#state !== "closed") this.#owner.end("malformed");
  }

  /** Reads what has waited for the listener to be attached, or for its token to be checked. */
  open(): void {
    if (this.#state !== "waiting") return;
    this.#state = "open";
    let read = 0;
    for (const text of this.#texts) {
      // A token among them makes the rest wait again.
      if (this.#state !== "open") break;
      read++;
      const size = sizeOf(text);
      this.#bytes -= size;
      this.#read(text, size);
    }
    this.#texts = this.#texts.length === read ? NOTHING : this.#texts.slice(read);
    this.#resume();
  }

  /** An event has got a handler: what has waited for it comes after all handlers of this turn. */
  listened(): void {
    if (this.#messages.length === 0 || this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  /** The request's handler has settled, so the app has added its handlers: from here on a message without one is reported. */
  settle(): void {
    this.#isSettled = true;
    this.#flush();
  }

  close(): void {
    this.#state = "closed";
    this.#texts = NOTHING;
    this.#messages = NOTHING;
    this.#cancelEnd?.();
    this.#cancelDebt?.();
  }

  #count(size: number): void {
    this.#meter ??= new RateMeter(this.#rate);
    const wait = this.#meter.take(size);
    if (wait === 0) return;
    if (this.#rate.overflow === "close" || (!this.#cancelDebt && !this.#owner.pause(true))) {
      this.#owner.end("limit");
      return;
    }
    this.#cancelDebt?.();
    this.#cancelDebt = after(wait, () => {
      this.#cancelDebt = undefined;
      this.#goOn();
    });
  }

  #read(text: string, size: number): void {
    const message = parseMessage(text);
    if (message === undefined) {
      this.#owner.end("malformed");
      return;
    }
    const { event, data } = message;
    if (event === "session") {
      this.#state = "waiting";
      void this.#owner.receiveToken(data).then(() => this.open());
    } else if (!this.#isFlushing && (this.#isSettled || this.#owner.isHeard(event))) {
      this.#pass(event, data);
    } else {
      if (this.#messages === NOTHING) this.#messages = [];
      this.#messages.push({ event, data, size });
      this.#hold(size);
    }
  }

  #pass(event: string, data: unknown): void {
    if (this.#owner.isHeard(event)) this.#owner.dispatch(event, data);
    else this.#owner.unheard(event, "dropped");
  }

  #flush(): void {
    const waiting = this.#messages;
    this.#messages = NOTHING;
    const kept: Message[] = [];
    for (const message of waiting) {
      if (this.#state === "closed") return;
      if (this.#isSettled || this.#owner.isHeard(message.event)) {
        this.#bytes -= message.size;
        this.#pass(message.event, message.data);
      } else {
        kept.push(message);
      }
    }
    if (kept.length > 0) this.#messages = [...kept, ...this.#messages];
    this.#resume();
  }

  #hold(size: number): void {
    this.#bytes += size;
    if (this.#bytes <= LIMIT || this.#state === "closed") return;
    if (this.#cancelEnd !== undefined) {
      if (this.#bytes > 2 * LIMIT) this.#owner.end("limit");
      return;
    }
    // The request's handler may run as long as the tab, so nothing else would say what is missing.
    const unheard = this.#messages.find(({ event }) => !this.#owner.isHeard(event));
    if (unheard) this.#owner.unheard(unheard.event, "held");
    if (this.#owner.pause(true)) {
      this.#cancelEnd = after(LONGEST_PAUSE, () => this.#owner.end("limit"), { unref: true });
    } else {
      this.#owner.end("limit");
    }
  }

  #resume(): void {
    if (this.#cancelEnd === undefined || this.#bytes > LIMIT) return;
    this.#cancelEnd();
    this.#cancelEnd = undefined;
    this.#goOn();
  }

  /** Resumes reading if there is no reason left to pause. */
  #goOn(): void {
    if (this.#state !== "closed" && !this.#cancelEnd && !this.#cancelDebt) this.#owner.pause(false);
  }
}

const sizeOf = (text: string): number => Buffer.byteLength(text) + OVERHEAD;
