import type { EndReason } from "../end-reason.ts";
import type { Listener } from "../listener.ts";

/** A message on its way to a browser. */
export interface OutgoingMessage {
  readonly event: string;
  /** The data, as JSON. */
  readonly json: string;
  /** The event and its data as the plain WebSocket wire has them: `{ "event", "data" }`. */
  readonly frame: string;
  /** The frame, for the `sendShared` of a socket of `@lanai/websocket`. */
  readonly shared: SharedText;
}

/** A text whose bytes are made by the first socket that sends it, and kept for the others. */
export interface SharedText {
  readonly text: string;
  bytes?: Buffer | undefined;
}

/** Receives from a transport what the browser sends. After the listener has ended, it ignores everything. */
export interface Inbound {
  /**
   * Takes one text of the plain wire, `{ "event", "data" }`. A `session` message gets a token as its
   * reply. A text that is malformed ends the listener.
   */
  receive(text: string): void;
  /** Ends the listener, because the browser sent what can't be a message. */
  refuse(): void;
}

/** Writes to one connection, reads from it and closes it. A transport makes one for each listener. */
export interface Sink {
  /**
   * Writes a message. If it returns a promise, no further message is written until that settles, and
   * a rejection ends the listener. Without this method, messages reach {@link Listener.events} alone.
   */
  send?(message: OutgoingMessage): void | Promise<void>;
  /**
   * Called once, when the listener can be reached. From here on the transport hands what the browser
   * sends to `inbound`.
   */
  begin?(listener: Listener, inbound: Inbound): void;
  /**
   * Stops reading from the browser, or resumes. Called when more than 256 KiB wait for the app, or when
   * the browser exceeds its rate limit. Without this method, such a listener ends at once.
   */
  pause?(isPaused: boolean): void;
  /**
   * Announces the end in a graceful shutdown and goes on handing in what the browser sent before it
   * knew. Resolves when nothing more can come; then `end` is called. Without this method, `end` is
   * called at once.
   */
  drain?(reason: EndReason, code: number): Promise<void>;
  /** Closes the connection. Called once; from here on nothing that comes in counts. */
  end(reason: EndReason, code: number): void;
}
