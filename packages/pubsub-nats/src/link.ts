import type { NatsConnection } from "@nats-io/transport-node";
import { unavailable } from "./errors.ts";

/** Told of what becomes of the connection. None of them throws. */
export interface LinkWatcher {
  lost(): void;
  restored(): void;
  /** It will not come back: the app closed it, or its client gave up. */
  ended(): void;
}

/**
 * The connection, which the app made and its client reconnects: whether it is there, and calls that
 * end in time whatever becomes of it.
 */
export class Link {
  readonly connection: NatsConnection;
  readonly timeout: number;
  readonly #watcher: LinkWatcher;
  readonly #status: ReturnType<NatsConnection["status"]> & { stop?(): void };
  #state: "up" | "down" | "ended" = "up";
  /** Fails what waits for an answer. */
  readonly #waiting = new Set<(error: unknown) => void>();
  #flush: Promise<void> | undefined;
  #stopped: Error | undefined;

  constructor(connection: NatsConnection, timeout: number, watcher: LinkWatcher) {
    this.connection = connection;
    this.timeout = timeout;
    this.#watcher = watcher;
    this.#status = connection.status();
    if (connection.isClosed()) this.#state = "ended";
    void this.#watch();
  }

  get isUp(): boolean {
    return this.#state === "up";
  }

  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  /**
   * What `ask` answers, unless the connection is or gets lost, or nothing comes within the time-out.
   *
   * @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`; what `ask` rejects with, as it is.
   */
  call<T>(ask: () => Promise<T>, timeout: number = this.timeout): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#state !== "up" || this.#stopped) return reject(this.reason());
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(fail);
      };
      const fail = (error: unknown) => {
        done();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(unavailable(`the NATS server didn't answer within ${timeout} ms`));
      }, timeout);
      this.#waiting.add(fail);
      ask().then((value) => {
        done();
        resolve(value);
      }, fail);
    });
  }

  /**
   * Resolves when the server has taken everything that was sent in this turn of the event loop, and
   * before. All who ask in one turn share one round trip.
   */
  flush(): Promise<void> {
    this.#flush ??= this.#startFlush();
    return this.#flush;
  }

  async #startFlush(): Promise<void> {
    await Promise.resolve();
    this.#flush = undefined;
    try {
      await this.call(() => this.connection.flush());
    } catch (error) {
      throw unavailable("the connection to NATS was lost before the server answered", error);
    }
  }

  /** Every call under way, and each later one, fails with `reason`. */
  stop(reason: Error): void {
    this.#stopped = reason;
    this.#failAll();
    this.#status.stop?.();
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#status) {
      if (type === "disconnect" && this.#state === "up") {
        this.#state = "down";
        this.#failAll();
        this.#watcher.lost();
      } else if (type === "reconnect" && this.#state === "down") {
        this.#state = "up";
        this.#watcher.restored();
      } else if (type === "close") {
        this.#state = "ended";
        this.#failAll();
        this.#watcher.ended();
      }
    }
  }

  #failAll(): void {
    for (const fail of [...this.#waiting]) fail(this.reason());
  }

  /** Why nothing is sent now. */
  reason(): Error {
    if (this.#stopped) return this.#stopped;
    return this.#state === "ended"
      ? unavailable("the connection to NATS is closed: the app closed it, or its client gave up")
      : unavailable("the connection to NATS is lost: it is being restored");
  }
}
