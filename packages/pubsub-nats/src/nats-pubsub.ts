import { within } from "@lanai/connection/deadline";
import type { Message, PubSub, Streams } from "@lanai/pubsub";
import {
  closedError,
  cursorLost,
  emitEvent,
  Inbox,
  notRetained,
  streamSettings,
  validateHistory,
  validatePublish,
} from "@lanai/pubsub/backend";
import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { MonitoredConnection } from "./connection/monitored-connection.ts";
import { noStreams, unavailable } from "./errors.ts";
import { type NatsPubSubOptions, type Settings, settingsOf } from "./options.ts";
import { Publisher } from "./publishing/publisher.ts";
import { ensureStream } from "./streams/ensure-stream.ts";
import { History } from "./streams/history.ts";
import { Messages } from "./streams/messages.ts";
import { StreamTable } from "./streams/stream-table.ts";
import { StreamWatch } from "./streams/stream-watch.ts";
import { wireOf } from "./streams/wire.ts";
import { PlainSubjects } from "./subscribing/plain-subjects.ts";
import { Subscriptions } from "./subscribing/subscriptions.ts";

/** A bus's `backend` if that is NATS. Gives access to what the contract doesn't have. */
export interface NatsPubSub extends PubSub, Streams {
  /** The connection that the app passed in. */
  readonly connection: NatsConnection;
  /** A JetStream client on this connection. */
  readonly jetstream: JetStreamClient;
}

/** The longest that `close` waits for publishes in progress, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;

/**
 * Pub/sub over NATS, with the streams of JetStream. The connection is the app's: its options decide
 * how it reconnects, and `close` leaves it open.
 *
 * @throws TypeError or RangeError for a wrong option, and for a connection that can't keep a promise.
 */
export function natsPubSub(
  connection: NatsConnection,
  options: NatsPubSubOptions = {},
): NatsPubSub {
  return new NatsBackend(connection, settingsOf(connection, options));
}

class NatsBackend implements NatsPubSub {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly #prefix: string;
  readonly #nats: MonitoredConnection;
  readonly #table: StreamTable;
  readonly #watch: StreamWatch;
  readonly #publisher: Publisher;
  readonly #subscriptions: Subscriptions;
  readonly #history: History;
  #closing: Promise<void> | undefined;

  constructor(connection: NatsConnection, settings: Settings) {
    const { prefix, timeout, domain, inboxPrefix, checkInterval } = settings;
    const api = domain === undefined ? { timeout } : { timeout, domain };
    this.connection = connection;
    this.jetstream = jetstream(connection, api);
    this.#prefix = prefix;
    const manager = jetstreamManager(connection, { ...api, checkAPI: false });
    this.#nats = new MonitoredConnection(connection, timeout, {
      lost: () => this.#lost(),
      restored: () => this.#restored(),
      ended: () => this.#ended(),
      refused: (error) => {
        if (/maximum subscriptions/i.test(error.message)) plain.overLimit(error);
      },
    });
    this.#table = new StreamTable({
      nats: this.#nats,
      manager,
      prefix,
      make: async (stream) => ensureStream(this.#nats, await manager, settings, stream),
      onChange: (flapped) => {
        this.#subscriptions.revise(flapped);
        this.#publisher.stored.revise();
      },
    });
    this.#watch = new StreamWatch(this.#nats, this.#table, checkInterval);
    this.#publisher = new Publisher(this.#nats, this.#table, inboxPrefix);
    const messages = new Messages(prefix);
    const plain = new PlainSubjects(this.#nats, messages.plain);
    this.#history = new History(this.#nats, this.jetstream, manager, messages.stored);
    this.#subscriptions = new Subscriptions({
      nats: this.#nats,
      client: this.jetstream,
      table: this.#table,
      plain,
      history: this.#history,
      messageOf: messages.stored,
      wireOf: (subject) => this.#wireOf(subject),
      notRetained: (subject) => this.#notRetained(subject),
    });
  }

  publish: PubSub["publish"] = async (subject, data, options) => {
    this.#mustBeOpen();
    validatePublish(subject, data, options);
    // Copied: the caller may use the array again before it is sent.
    const kept = typeof data === "string" ? data : new Uint8Array(data);
    await this.#publisher.publish(this.#wireOf(subject), kept, options, () => this.#mustBeOpen());
  };

  subscribe: PubSub["subscribe"] = async (subject, handler, options = {}) => {
    this.#mustBeOpen();
    const leave = (): void => this.#subscriptions.remove(inbox);
    const inbox: Inbox = new Inbox({ subject, handler, options, leave });
    if (inbox.status === "closed") return inbox;
    try {
      await this.#subscriptions.add(inbox, options);
    } catch (error) {
      const isWanted = !options.signal?.aborted && this.#closing === undefined;
      void inbox.unsubscribe();
      if (isWanted) throw unavailable("the subscription could not be made", error);
    }
    return inbox;
  };

  history: Streams["history"] = async (subject, limit, range = {}) => {
    this.#mustBeOpen();
    validateHistory(subject, limit, range);
    const { since } = range;
    const wire = this.#wireOf(subject);
    await this.#table.load();
    const stream = this.#table.find(wire);
    if (!stream) throw this.#notRetained(subject);
    if (limit === 0 && since === undefined) return [];
    try {
      for (;;) {
        const messages: Message[] = [];
        const snapshot = await this.#history.snapshot(stream.name);
        const found =
          since === undefined
            ? await this.#history.last(snapshot, wire, limit)
            : await this.#history.after(snapshot, wire, since);
        if (!found) throw cursorLost(subject);
        const isAll = await this.#history.read(
          limit === 0 ? { ...found, count: 0 } : found,
          (message) => messages.push(message) < limit,
          { isPatient: false },
        );
        if (isAll) return messages;
      }
    } catch (error) {
      if ((error as { code?: unknown }).code === "ERR_PUBSUB_CURSOR") throw error;
      throw unavailable("what the stream retains could not be read", error);
    }
  };

  ensureStream: Streams["ensureStream"] = async (config) => {
    this.#mustBeOpen();
    const settings = streamSettings(config);
    const { name } = settings;
    // An app gives its streams names that no other app on the server has; packages can't.
    const prefix = name.startsWith("$") ? this.#prefix.replaceAll(".", "_") : "";
    await this.#table.ensure({ ...settings, name: prefix + name });
    emitEvent("stream", { level: "info", subject: settings.name });
  };

  close: PubSub["close"] = () => {
    this.#closing ??= this.#end();
    return this.#closing;
  };

  #lost(): void {
    emitEvent("disconnected", { level: "warn" });
    this.#publisher.stored.lost();
    this.#subscriptions.lost();
  }

  #restored(): void {
    this.#table.expire();
    this.#publisher.stored.restored();
    this.#subscriptions.restored();
    emitEvent("reconnected", { level: "info" });
  }

  #ended(): void {
    const error = unavailable("the connection to NATS is closed: nothing more will come");
    this.#publisher.stored.failAll(error);
    this.#subscriptions.failAll(error);
  }

  async #end(): Promise<void> {
    const { stored } = this.#publisher;
    this.#watch.stop();
    await this.#subscriptions.closeAll();
    if (this.#nats.isUp) await this.#settled();
    stored.failAll(closedError());
    stored.stop();
    this.#nats.stop(closedError());
  }

  /** Resolves when the server has replied to what was published, or will not in time. */
  async #settled(): Promise<void> {
    const replied = Promise.all([this.#publisher.stored.settled(), this.#nats.flush()]);
    await within<unknown>(CLOSE_TIMEOUT, replied, () => undefined).catch(() => undefined);
  }

  #wireOf(subject: string): string {
    return wireOf(this.#prefix, subject);
  }

  #notRetained(subject: string): Error {
    return this.#table.missing ? noStreams(this.#table.missing) : notRetained(subject);
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}
