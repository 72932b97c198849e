import { after } from "@lanai/connection/deadline";
import type { NatsConnection } from "@nats-io/transport-node";
import { unavailable } from "../errors.ts";

/** Called when the state of the connection changes. Nothing here throws. */
export interface ConnectionWatcher {
  lost(): void;
  restored(): void;
  /** The connection does not come back: the app closed it, or its client gave up. */
  ended(): void;
  /** The server refused something that is not a permission, such as a subscription too many. */
  refused(error: Error): void;
}

/**
 * The app's connection with its state, and calls on it that settle in time whatever happens to it.
 * Its client reconnects it.
 */
export class MonitoredConnection {
  readonly connection: NatsConnection;
  readonly timeout: number;
  readonly #watcher: ConnectionWatcher;
  readonly #status: ReturnType<NatsConnection["status"]> & { stop?(): void };
  #state: "up" | "down" | "ended" = "up";
  /** Rejects the calls that wait for a reply. */
  readonly #waiting = new Set<(error: unknown) => void>();
  #flush: Promise<void> | undefined;
  #stopped: Error | undefined;

  constructor(connection: NatsConnection, timeout: number, watcher: ConnectionWatcher) {
    this.connection = connection;
    this.timeout = timeout;
    this.#watcher = watcher;
    this.#status = connection.status();
    if (connection.isClosed()) this.#state = "ended";
    this.#watch().catch((error: unknown) => this.#end(error));
  }

  get isUp(): boolean {
    return this.#state === "up" && !this.#stopped;
  }

  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  /**
   * Resolves to what `request` resolves to, unless the connection is down or goes down, or there is no
   * reply within `timeout` milliseconds.
   *
   * @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`, or what `request` rejects with, unchanged.
   */
  call<T>(request: () => Promise<T>, timeout: number = this.timeout): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isUp) return reject(this.reason());
      const done = () => {
        cancel();
        this.#waiting.delete(fail);
      };
      const fail = (error: unknown) => {
        done();
        reject(error);
      };
      const cancel = after(timeout, () => {
        fail(unavailable(`the NATS server didn't reply within ${timeout} ms`));
      });
      this.#waiting.add(fail);
      request().then((value) => {
        done();
        resolve(value);
      }, fail);
    });
  }

  /**
   * Resolves when the server has processed everything that was sent before, and in this turn of the
   * event loop. All callers of one turn share one round trip.
   */
  flush(): Promise<void> {
    this.#flush ??= this.#startFlush();
    return this.#flush;
  }

  /** Rejects every pending call, and each later one, with `reason`. */
  stop(reason: Error): void {
    this.#stopped = reason;
    this.#rejectAll();
    this.#status.stop?.();
  }

  /** The reason why nothing can be sent now. */
  reason(): Error {
    if (this.#stopped) return this.#stopped;
    return this.#state === "ended"
      ? unavailable("the connection to NATS is closed: the app closed it, or its client gave up")
      : unavailable("the connection to NATS is lost: it is being restored");
  }

  async #startFlush(): Promise<void> {
    await Promise.resolve();
    this.#flush = undefined;
    try {
      await this.call(() => this.connection.flush());
    } catch (error) {
      throw unavailable("the connection to NATS was lost before the server replied", error);
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.#status) {
      const { type } = status;
      if (type === "disconnect" && this.#state === "up") {
        this.#state = "down";
        this.#rejectAll();
        this.#watcher.lost();
      } else if (type === "reconnect" && this.#state === "down") {
        this.#state = "up";
        this.#watcher.restored();
      } else if (type === "error" && status.error.name === "ProtocolError") {
        this.#watcher.refused(status.error);
      } else if (type === "close") {
        this.#end();
      }
    }
  }

  #end(cause?: unknown): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#rejectAll();
    if (!this.#stopped || cause === undefined) this.#watcher.ended();
  }

  #rejectAll(): void {
    for (const fail of [...this.#waiting]) fail(this.reason());
  }
}
