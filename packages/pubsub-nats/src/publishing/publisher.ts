import type { Payload, PublishOptions } from "@lanai/pubsub";
import { bytesOf } from "@lanai/pubsub/backend";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { afterSending, isTooLarge, tooLarge, unavailable } from "../errors.ts";
import type { StreamTable } from "../streams/stream-table.ts";
import { StoredPublishes } from "./stored-publishes.ts";

/**
 * Publishes a message as the streams want it: with an acknowledgement if one retains the subject,
 * else as a plain message. Messages leave in the order of the calls.
 */
export class Publisher {
  readonly stored: StoredPublishes;
  readonly #nats: MonitoredConnection;
  readonly #table: StreamTable;
  /** One promise for all who wait for the streams, so that they go on in order. */
  #loading: Promise<void> | undefined;

  constructor(nats: MonitoredConnection, table: StreamTable, inboxPrefix: string) {
    this.#nats = nats;
    this.#table = table;
    this.stored = new StoredPublishes(nats, table, inboxPrefix);
  }

  /** Calls `mustBeOpen` before the message leaves, and throws what that throws. */
  publish(
    wire: string,
    data: Payload,
    options: PublishOptions | undefined,
    mustBeOpen: () => void,
  ): Promise<void> {
    const loading = this.#load();
    if (loading === undefined) return this.#send(wire, data, options);
    return loading.then(() => {
      mustBeOpen();
      return this.#send(wire, data, options);
    });
  }

  /** Resolves when it is known which streams there are; `undefined` if it is. */
  #load(): Promise<void> | undefined {
    if (this.#loading === undefined && !this.#table.isFresh && this.#nats.isUp) {
      const loading = this.#table.load();
      const done = () => {
        this.#loading = undefined;
      };
      loading.then(done, done);
      this.#loading = loading;
    }
    return this.#loading;
  }

  #send(wire: string, data: Payload, options: PublishOptions | undefined): Promise<void> {
    try {
      if (this.stored.holds(wire) || this.#table.find(wire)) {
        return this.stored.publish(wire, bytesOf(data), options?.messageId);
      }
      if (!this.#nats.isUp) throw this.#nats.reason();
      this.#nats.connection.publish(wire, data);
      return this.#nats.flush().catch((error: unknown) => {
        throw afterSending(error);
      });
    } catch (error) {
      return Promise.reject(this.#sendError(error, data));
    }
  }

  #sendError(error: unknown, data: Payload): Error {
    const most = this.#nats.connection.info?.max_payload;
    if (most !== undefined && isTooLarge(error)) return tooLarge(bytesOf(data).length, most);
    return unavailable("the message could not be sent", error);
  }
}
