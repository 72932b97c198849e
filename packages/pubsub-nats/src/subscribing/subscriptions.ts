import type { Message, SubscribeOptions } from "@lanai/pubsub";
import type { Inbox } from "@lanai/pubsub/backend";
import type { JetStreamClient, JsMsg } from "@nats-io/jetstream";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { apiCode, unavailable } from "../errors.ts";
import type { History, Snapshot } from "../streams/history.ts";
import { cursorOf } from "../streams/messages.ts";
import { StreamReader } from "../streams/stream-reader.ts";
import type { KnownStream, StreamTable } from "../streams/stream-table.ts";
import type { PlainSubjects } from "./plain-subjects.ts";

/** Before a failed move is tried again, in milliseconds. */
const RETRY_DELAY = 100;

export interface SubscriptionParts {
  readonly nats: MonitoredConnection;
  readonly client: JetStreamClient;
  readonly table: StreamTable;
  readonly plain: PlainSubjects;
  readonly history: History;
  readonly messageOf: (epoch: string, message: JsMsg, replayed: boolean) => Message;
  readonly wireOf: (subject: string) => string;
  readonly notRetained: (subject: string) => Error;
}

/** The source of a subscription's messages. It is `nowhere` only while the source changes. */
type MessageSource =
  | { readonly from: "nowhere" }
  | { readonly from: "plain" }
  | { readonly from: "stream"; readonly reader: StreamReader };

interface Subscribed {
  readonly inbox: Inbox;
  readonly wire: string;
  source: MessageSource;
  /** Its source is being changed: whoever changes it checks again when done. */
  isMoving: boolean;
  /** Its `subscribe` is in progress and rejects if something goes wrong. */
  isStarting: boolean;
}

const NOWHERE: MessageSource = { from: "nowhere" };

/**
 * All subscriptions of this process, and where the messages of each come from: from the reader of the
 * one stream that retains all of its subject, else from the server's plain subscription.
 *
 * That is decided again whenever the streams change. A subscription first gets all that its old
 * source has for it, then moves. What may have been published in between is reported as a gap.
 */
export class Subscriptions {
  readonly #parts: SubscriptionParts;
  readonly #all = new Map<Inbox, Subscribed>();
  readonly #readers = new Map<string, StreamReader>();

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when what is published afterwards is delivered.
   *
   * @throws what keeps the subscription from being made, or `undefined` if nobody wants it any more.
   */
  async add(inbox: Inbox, options: SubscribeOptions): Promise<void> {
    const wire = this.#parts.wireOf(inbox.subject);
    const subscribed: Subscribed = {
      inbox,
      wire,
      source: NOWHERE,
      isMoving: true,
      isStarting: true,
    };
    this.#all.set(inbox, subscribed);
    try {
      await this.#begin(subscribed, options);
    } finally {
      subscribed.isStarting = false;
      subscribed.isMoving = false;
    }
    void this.#revise(subscribed);
  }

  remove(inbox: Inbox): void {
    const subscribed = this.#all.get(inbox);
    if (!subscribed) return;
    this.#all.delete(inbox);
    this.#depart(subscribed);
  }

  lost(): void {
    this.#parts.plain.lost();
    for (const reader of this.#readers.values()) reader.lost();
  }

  restored(): void {
    this.#parts.plain.restored();
    for (const reader of this.#readers.values()) void reader.restored();
    for (const subscribed of this.#all.values()) void this.#revise(subscribed);
  }

  /** The connection does not come back. */
  failAll(error: ReturnType<typeof unavailable>): void {
    for (const { inbox, isStarting } of [...this.#all.values()]) {
      if (!isStarting) inbox.fail(error);
    }
  }

  /** The streams have changed. `flapped`: their subjects may have been others for a moment. */
  revise(flapped: ReadonlySet<string>): void {
    for (const [name, reader] of this.#readers) {
      reader.revise(this.#parts.table.get(name)?.epoch, flapped.has(name));
    }
    for (const subscribed of [...this.#all.values()]) void this.#revise(subscribed);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#all.keys()].map((inbox) => inbox.unsubscribe()));
  }

  async #begin(subscribed: Subscribed, options: SubscribeOptions): Promise<void> {
    const { table, notRetained } = this.#parts;
    const { inbox, wire } = subscribed;
    const { since, replay = 0 } = options;
    for (let attempt = 1; ; attempt++) {
      await table.load();
      if (inbox.status === "closed") return;
      const stream = table.find(wire);
      if (!stream && (since || replay > 0)) throw notRetained(inbox.subject);
      try {
        if (stream) await this.#follow(subscribed, this.#readerOf(stream), since, replay);
        else await this.#listen(subscribed);
        return;
      } catch (error) {
        // The stream may have gone, or let go of the subject, since the table was read.
        if (attempt > 2 || !stream || apiCode(error) === undefined) throw error;
        this.#depart(subscribed);
        table.expire();
      }
    }
  }

  #listen(subscribed: Subscribed): Promise<void> {
    subscribed.source = { from: "plain" };
    return this.#parts.plain.join(subscribed.wire, subscribed.inbox);
  }

  async #follow(
    subscribed: Subscribed,
    reader: StreamReader,
    since: string | undefined,
    replay: number,
  ): Promise<void> {
    const { nats, history } = this.#parts;
    const { inbox, wire } = subscribed;
    subscribed.source = { from: "stream", reader };
    const stream = await reader.join(inbox.subject, inbox);
    if (inbox.status === "closed") return;
    const { epoch, last } = stream;
    let range = since ? await history.after(stream, wire, since) : undefined;
    if (since) inbox.recovered = range !== undefined;
    if (since && !range) inbox.gap("cursor");
    if (!range && replay > 0) range = await history.last(stream, wire, replay);
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
    if (range && range.skip > 0) await nats.call(() => begun);
  }

  /** Moves a subscription until its source is the one that the streams ask for. */
  async #revise(subscribed: Subscribed): Promise<void> {
    const { nats, table } = this.#parts;
    const { inbox, wire } = subscribed;
    if (subscribed.isMoving) return;
    subscribed.isMoving = true;
    const patience = performance.now() + nats.timeout;
    while (this.#all.has(inbox) && nats.isUp && !this.#isRight(subscribed)) {
      try {
        await this.#move(subscribed, table.find(wire));
      } catch (error) {
        this.#depart(subscribed);
        if (nats.isUp && performance.now() > patience) {
          inbox.fail(unavailable("the subscription could not follow its stream", error));
        }
        table.expire();
        await pause(RETRY_DELAY);
        if (nats.isUp) await table.load().catch(() => undefined);
      }
    }
    subscribed.isMoving = false;
  }

  #isRight({ source, wire }: Subscribed): boolean {
    const { table } = this.#parts;
    const target = table.find(wire);
    if (source.from === "nowhere") return false;
    if (source.from === "plain") return target === undefined;
    if (target !== undefined) return target.name === source.reader.name;
    // A stream that is gone may be about to be made again: its reader waits for that.
    return table.get(source.reader.name) === undefined;
  }

  async #move(subscribed: Subscribed, target: KnownStream | undefined): Promise<void> {
    const { history, nats, table } = this.#parts;
    const { inbox, source } = subscribed;
    let heard: Snapshot | undefined;
    if (source.from === "stream") {
      const { name, epoch } = source.reader;
      if (table.get(name)?.epoch === epoch) await source.reader.drain(inbox).catch(() => undefined);
    } else if (source.from === "plain" && target) {
      heard = await history.snapshot(target.name);
      await nats.flush();
    }
    this.#depart(subscribed);
    if (inbox.status === "closed") return;
    inbox.sync();
    if (!target) {
      inbox.gap("expired");
      return this.#listen(subscribed);
    }
    const reader = this.#readerOf(target);
    subscribed.source = { from: "stream", reader };
    const { epoch, last } = await reader.join(inbox.subject, inbox);
    // Whatever was stored before was heard as a plain message.
    if (heard?.epoch !== epoch || heard.last !== last) inbox.gap("expired");
    inbox.startAfter(epoch, last);
    inbox.cursor = cursorOf(epoch, last);
    void reader.bringUp(inbox);
  }

  /** Takes a subscription off its source. */
  #depart(subscribed: Subscribed): void {
    const { inbox, source, wire } = subscribed;
    subscribed.source = NOWHERE;
    if (source.from === "plain") this.#parts.plain.leave(wire, inbox);
    else if (source.from === "stream") source.reader.leave(inbox);
  }

  #readerOf({ name }: KnownStream): StreamReader {
    const there = this.#readers.get(name);
    if (there) return there;
    const { nats, client, history, messageOf, wireOf, table } = this.#parts;
    const reader = new StreamReader({
      name,
      nats,
      client,
      history,
      wireOf,
      messageOf,
      heal: async () => {
        table.expire();
        await table.load();
        return table.get(name) !== undefined;
      },
      onIdle: () => {
        if (this.#readers.get(name) === reader) this.#readers.delete(name);
      },
    });
    this.#readers.set(name, reader);
    return reader;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
