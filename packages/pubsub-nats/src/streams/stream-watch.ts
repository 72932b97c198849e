import { type Cancel, repeat } from "@lanai/connection/deadline";
import type { Subscription } from "@nats-io/transport-node";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import type { StreamTable } from "./stream-table.ts";

/** `$JS.EVENT.ADVISORY.STREAM.UPDATED.<name>`; also CREATED and DELETED. */
const ADVISORIES = "$JS.EVENT.ADVISORY.STREAM.*.*";

/**
 * Keeps the table of streams up to date: at once when the server publishes an advisory, and by asking
 * regularly, because a user may not be allowed to receive advisories, and they can be lost.
 */
export class StreamWatch {
  readonly #nats: MonitoredConnection;
  readonly #table: StreamTable;
  readonly #advisories: Subscription | undefined;
  readonly #stopChecking: Cancel;

  constructor(nats: MonitoredConnection, table: StreamTable, interval: number) {
    this.#nats = nats;
    this.#table = table;
    this.#advisories = nats.hasEnded
      ? undefined
      : nats.connection.subscribe(ADVISORIES, {
          callback: (error, { subject }) => {
            if (!error) this.#advised(subject);
          },
        });
    this.#stopChecking = repeat(interval, () => this.#check(), { unref: true });
  }

  stop(): void {
    this.#stopChecking();
    if (!this.#nats.hasEnded) this.#advisories?.unsubscribe();
  }

  #advised(subject: string): void {
    const [name = "", action = ""] = subject.split(".").reverse();
    this.#table.advised(action, name);
    this.#table.load().catch(() => undefined);
  }

  /** An outage is reported to whoever asks for something; the next check may find the server. */
  #check(): void {
    if (this.#nats.isUp) this.#table.refresh().catch(() => undefined);
  }
}
