import type {
  Message,
  Payload,
  PublishOptions,
  PubSub,
  Streams,
  SubscribeOptions,
} from "@lanai/pubsub";
import {
  bytesOf,
  closedError,
  emitEvent,
  Inbox,
  notRetained,
  type StreamSettings,
  streamSettings,
  validateHistory,
  validatePublish,
} from "@lanai/pubsub/backend";
import {
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription as OnWire } from "@nats-io/transport-node";
import { ensureStream } from "./ensure-stream.ts";
import { noStreams, tooLarge, unavailable } from "./errors.ts";
import { History, type Range, type Snapshot } from "./history.ts";
import { Link } from "./link.ts";
import { type NatsPubSubOptions, type Settings, settingsOf } from "./options.ts";
import { StoredPublishes } from "./stored-publishes.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamTable } from "./stream-table.ts";
import { Wires } from "./wires.ts";

/** A bus's `backend`, where that is NATS: also the way to what the contract doesn't know. */
export interface NatsPubSub extends PubSub, Streams {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
}

/** What `close` waits for publishes under way at most, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;
const STREAM_ADVISORIES = "$JS.EVENT.ADVISORY.STREAM.*.*";

/**
 * Pub/sub over NATS; its streams are those of JetStream. The connection is the app's: its options
 * say how it reconnects, and `close` leaves it open.
 *
 * @throws TypeError or RangeError for a wrong option.
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
  readonly #settings: Settings;
  readonly #prefix: string;
  readonly #manager: Promise<JetStreamManager>;
  readonly #link: Link;
  readonly #table: StreamTable;
  readonly #advisories: OnWire;
  readonly #stored: StoredPublishes;
  readonly #wires: Wires;
  readonly #history: History;
  readonly #readers = new Map<string, StreamReader>();
  readonly #open = new Set<Inbox>();
  /** Whose `subscribe` is under way, and says itself what goes wrong. */
  readonly #starting = new Set<Inbox>();
  #loading: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(connection: NatsConnection, settings: Settings) {
    const { prefix, timeout, domain, inboxPrefix } = settings;
    const api = domain === undefined ? { timeout } : { timeout, domain };
    this.connection = connection;
    this.jetstream = jetstream(connection, api);
    this.#settings = settings;
    this.#prefix = `${prefix}.`;
    this.#manager = jetstreamManager(connection, { ...api, checkAPI: false });
    this.#link = new Link(connection, timeout, {
      lost: () => this.#lost(),
      restored: () => this.#restored(),
      ended: () => this.#ended(),
    });
    this.#table = new StreamTable(this.#link, this.#manager, prefix, this.#make);
    this.#advisories = connection.subscribe(STREAM_ADVISORIES, {
      callback: () => this.#table.expire(),
    });
    this.#stored = new StoredPublishes(this.#link, inboxPrefix);
    this.#wires = new Wires(this.#link, this.#plainMessage);
    this.#history = new History(this.#link, this.jetstream, this.#manager, this.#storedMessage);
  }

  publish: PubSub["publish"] = (subject, data, options) => {
    try {
      this.#mustBeOpen();
      validatePublish(subject, data, options);
      // Copied: the caller may use the array again before it is sent.
      const kept = typeof data === "string" ? data : new Uint8Array(data);
      const wire = this.#prefix + subject;
      const streams = this.#streams();
      if (streams === undefined) return this.#send(wire, kept, options);
      return streams.then(() => this.#send(wire, kept, options));
    } catch (error) {
      return Promise.reject(error);
    }
  };

  subscribe: PubSub["subscribe"] = async (subject, handler, options = {}) => {
    this.#mustBeOpen();
    let leave = () => {};
    const inbox = new Inbox({ subject, handler, options, leave: () => leave() });
    if (inbox.status === "closed") return inbox;
    const place: Place = { leave: () => {} };
    leave = () => {
      this.#open.delete(inbox);
      place.leave();
    };
    this.#open.add(inbox);
    this.#starting.add(inbox);
    try {
      await this.#place(inbox, options, place);
    } catch (error) {
      const isWanted = !options.signal?.aborted && this.#closing === undefined;
      void inbox.unsubscribe();
      if (isWanted) throw unavailable("the subscription could not be made", error);
    } finally {
      this.#starting.delete(inbox);
    }
    return inbox;
  };

  history: Streams["history"] = async (subject, limit) => {
    this.#mustBeOpen();
    validateHistory(subject, limit);
    const wire = this.#prefix + subject;
    await this.#table.load();
    const stream = this.#table.find(wire);
    if (!stream) throw this.#notRetained(subject);
    if (limit === 0) return [];
    try {
      for (;;) {
        const messages: Message[] = [];
        const range = await this.#history.last(
          await this.#history.snapshot(stream.name),
          wire,
          limit,
        );
        const take = (message: Message) => messages.push(message);
        if (await this.#history.read(range, take, { isPatient: false })) return messages;
      }
    } catch (error) {
      throw unavailable("what the stream retains could not be read", error);
    }
  };

  ensureStream: Streams["ensureStream"] = async (config) => {
    this.#mustBeOpen();
    const settings = streamSettings(config);
    await this.#make(settings);
    this.#table.keep(settings);
    await this.#table.load();
    emitEvent("stream", { level: "info", subject: settings.name });
  };

  close: PubSub["close"] = () => {
    this.#closing ??= this.#end();
    return this.#closing;
  };

  #lost(): void {
    emitEvent("disconnected", { level: "warn" });
    this.#wires.lost();
    for (const reader of this.#readers.values()) reader.lost();
  }

  #restored(): void {
    this.#table.expire();
    this.#stored.resend();
    this.#wires.restored();
    for (const reader of this.#readers.values()) void reader.restored();
    emitEvent("reconnected", { level: "info" });
  }

  #ended(): void {
    const error = unavailable("the connection to NATS is closed: nothing more will come");
    this.#stored.failAll(error);
    for (const inbox of [...this.#open]) {
      if (!this.#starting.has(inbox)) inbox.fail(error);
    }
  }

  async #place(inbox: Inbox, options: SubscribeOptions, place: Place): Promise<void> {
    await this.#table.load();
    if (inbox.status === "closed") return;
    const { since, replay = 0 } = options;
    const wire = this.#prefix + inbox.subject;
    const stream = this.#table.find(wire);
    if (stream) {
      const reader = this.#readerOf(stream.name);
      place.leave = () => reader.leave(inbox);
      return this.#follow(reader, inbox, since, replay);
    }
    if (since || replay > 0) throw this.#notRetained(inbox.subject);
    place.leave = () => this.#wires.leave(wire, inbox);
    return this.#wires.join(wire, inbox);
  }

  async #follow(
    reader: StreamReader,
    inbox: Inbox,
    since: string | undefined,
    replay: number,
  ): Promise<void> {
    const stream = await reader.join(inbox.subject, inbox);
    if (inbox.status === "closed") return;
    const { epoch, last } = stream;
    const wire = this.#prefix + inbox.subject;
    let range = since ? await this.#resume(stream, wire, since) : undefined;
    if (since) inbox.recovered = range !== undefined;
    if (since && !range) inbox.gap("cursor");
    if (!range && replay > 0) range = await this.#history.last(stream, wire, replay);
    const start = range && range.count > 0 ? range.from - 1 : last;
    inbox.startAfter(epoch, start);
    inbox.cursor = since && range ? since : cursorOf(epoch, start);
    const begun = new Promise<void>((resolve) => {
      const first = (position: number) => {
        inbox.cursor = cursorOf(epoch, position - 1);
        resolve();
      };
      void reader.bringUp(inbox, range, first).then(resolve);
    });
    // Only then is it known where the subscription begins.
    if (range && range.skip > 0) await this.#link.call(() => begun);
  }

  /** What came after a cursor, if all of it is still there. */
  async #resume(stream: Snapshot, wire: string, cursor: string): Promise<Range | undefined> {
    const [, epoch, digits] = /^([0-9a-z]{1,20}):(0|[1-9]\d{0,14})$/.exec(cursor) ?? [];
    const next = Number(digits) + 1;
    const isThere = epoch === stream.epoch && next >= stream.first && next <= stream.last + 1;
    if (!isThere) return undefined;
    const range = await this.#history.from(stream, wire, next);
    if (next > stream.last || !(await this.#history.isExpired(range, next))) return range;
    this.#history.release(range.consumer);
    return undefined;
  }

  #readerOf(name: string): StreamReader {
    const known = this.#readers.get(name);
    if (known) return known;
    const reader = new StreamReader({
      name,
      link: this.#link,
      client: this.jetstream,
      history: this.#history,
      wireOf: (subject) => this.#prefix + subject,
      messageOf: this.#storedMessage,
      heal: async () => {
        this.#table.expire();
        await this.#table.load();
        return this.#table.has(name);
      },
      onIdle: () => this.#readers.delete(name),
    });
    this.#readers.set(name, reader);
    return reader;
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#open].map((inbox) => inbox.unsubscribe()));
    if (this.#link.isUp) await this.#settled();
    this.#stored.failAll(closedError());
    if (!this.#link.hasEnded) this.#advisories.unsubscribe();
    this.#stored.stop();
    this.#link.stop(closedError());
  }

  /** Resolves when the server has answered for what was published, or will not in time. */
  async #settled(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_TIMEOUT);
    const answered = Promise.all([this.#stored.settled(), this.#link.flush()]);
    await Promise.race([late, answered.catch(() => {})]);
    clearTimeout(timer);
  }

  readonly #make = async (settings: StreamSettings): Promise<void> => {
    await ensureStream(this.#link, await this.#manager, this.#settings, settings);
    this.#table.expire();
  };

  readonly #plainMessage = ({ subject, data }: Msg): Message => ({
    id: undefined,
    subject: subject.slice(this.#prefix.length),
    data,
    time: Date.now(),
    replayed: false,
  });

  readonly #storedMessage = (epoch: string, message: JsMsg, replayed: boolean): Message => {
    const { streamSequence, timestampNanos } = message.info;
    return {
      id: cursorOf(epoch, streamSequence),
      subject: message.subject.slice(this.#prefix.length),
      data: message.data,
      time: Math.floor(timestampNanos / 1e6),
      replayed,
    };
  };

  #notRetained(subject: string): Error {
    return this.#table.missing ? noStreams(this.#table.missing) : notRetained(subject);
  }

  /**
   * Resolves when it is known which streams there are; `undefined` if it is. One promise for all who
   * wait, so that they go on in the order in which they came.
   */
  #streams(): Promise<void> | undefined {
    if (this.#loading === undefined && !this.#table.isFresh && this.#link.isUp) {
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
      this.#mustBeOpen();
      if (this.#table.find(wire)) {
        return this.#stored.publish(wire, bytesOf(data), options?.messageId);
      }
      if (this.#link.isUp) this.connection.publish(wire, data);
      return this.#link.flush();
    } catch (error) {
      return Promise.reject(this.#sendError(error, data));
    }
  }

  /** What the client says of a message that it can't send. */
  #sendError(error: unknown, data: Payload): Error {
    const most = this.connection.info?.max_payload;
    const { length } = bytesOf(data);
    if (most !== undefined && (error as Partial<Error>).name === "InvalidArgumentError") {
      return tooLarge(length, most);
    }
    return unavailable("the message could not be sent", error);
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

/** How a subscription gets out of where it is. */
interface Place {
  leave: () => void;
}

const cursorOf = (epoch: string, position: number): string => `${epoch}:${position}`;
