import { type Cancel, repeat } from "@lanai/connection/deadline";
import type { Listeners } from "../listeners/listeners.ts";
import type { Relay } from "./relay.ts";

export interface EchoCheckOptions {
  readonly relay: Relay;
  readonly listeners: Listeners;
  /** The longest that a listener without a session lives after its end elsewhere, in milliseconds. */
  readonly interval: number;
}

/** The number of checks in an interval. */
const CHECKS = 4;

/**
 * Checks whether this process receives its own notes over the bus. The store knows nothing of a listener
 * without a session: its end comes by the bus alone. If that may have been missed, such listeners are
 * ended, and come back.
 */
export class EchoCheck {
  readonly #options: EchoCheckOptions;
  #stop: Cancel | undefined;
  /** Checks since a note of this process last came back for certain. */
  #silent = 0;
  #mayHaveMissed = false;

  constructor(options: EchoCheckOptions) {
    this.#options = options;
  }

  open(): void {
    const { relay, interval } = this.#options;
    if (relay.isAlone) return;
    this.#stop = repeat(interval / CHECKS, () => this.#check(), { unref: true });
  }

  /** A note of this process has come back. */
  echoed(): void {
    if (!this.#mayHaveMissed) this.#silent = 0;
  }

  /** Notes may have been lost even though the bus is reachable again. */
  missed(): void {
    this.#mayHaveMissed = true;
  }

  close(): void {
    this.#stop?.();
  }

  #check(): void {
    const { relay, listeners } = this.#options;
    const { withoutSession } = listeners;
    // At the next check the time that was promised would be over.
    const isOver = this.#silent === CHECKS - 2;
    if (isOver) for (const listener of withoutSession) listener.end("unavailable");
    if (isOver || withoutSession.length === 0) {
      this.#silent = 0;
      this.#mayHaveMissed = false;
    }
    if (withoutSession.length === 0) return;
    this.#silent++;
    void relay.publish(listeners.subject, {});
  }
}
