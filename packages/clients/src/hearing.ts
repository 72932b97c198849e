import type { Listeners } from "./listeners.ts";
import type { Relay } from "./relay.ts";

export interface HearingOptions {
  readonly relay: Relay;
  readonly listeners: Listeners;
  /** How long a listener without a session may live that has been ended elsewhere, in milliseconds. */
  readonly interval: number;
}

/** How often in an interval it is asked whether anything is heard. */
const LOOKS = 4;

/**
 * Whether this process hears the others. A listener without a session is in no store: its end comes by
 * the bus alone. Where that may have been missed, it is asked to come back.
 */
export class Hearing {
  readonly #options: HearingOptions;
  #timer: NodeJS.Timeout | undefined;
  /** How many looks ago something was heard for certain. */
  #silent = 0;
  #mayHaveMissed = false;

  constructor(options: HearingOptions) {
    this.#options = options;
  }

  open(): void {
    const { relay, interval } = this.#options;
    if (relay.isAlone) return;
    this.#timer = setInterval(() => this.#look(), interval / LOOKS).unref();
  }

  /** This process has heard itself over the bus. */
  heard(): void {
    if (!this.#mayHaveMissed) this.#silent = 0;
  }

  /** What was said a moment ago is unknown, though the bus be there now. */
  missed(): void {
    this.#mayHaveMissed = true;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { relay, listeners } = this.#options;
    const { withoutSession } = listeners;
    // The next look comes too late, so it is now.
    const isOver = this.#silent === LOOKS - 2;
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
