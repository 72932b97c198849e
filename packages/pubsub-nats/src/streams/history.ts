import type { Message } from "@lanai/pubsub";
import { covers, matchesSubject } from "@lanai/pubsub/backend";
import type {
  Consumer,
  ConsumerInfo,
  JetStreamClient,
  JetStreamManager,
  JsMsg,
  StreamState,
} from "@nats-io/jetstream";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { isStreamMissing, unavailable } from "../errors.ts";
import { type KnownStream, known } from "./stream-table.ts";

/** Messages that are asked for at once, and those that are read in vain rather than searched for. */
const PAGE = 256;
/** After this time without a message it is asked whether any is left, in milliseconds. */
const IDLE = 500;

/** The stream's epoch, the time at which the message was stored, and its position. */
const CURSOR = /^([0-9a-z]{1,20}):(?:(\d{1,15})-)?(0|[1-9]\d{0,14})$/;

/** A part of a stream to read: `count` messages, without the first `skip`. */
export interface Range {
  readonly stream: Snapshot;
  /** The sequence at which the search ended. All messages before it are skipped. */
  readonly from: number;
  readonly consumer: Consumer;
  readonly count: number;
  readonly skip: number;
  /** Messages stored before are too old: an instant of the server's clock. */
  readonly oldest: number;
  /** The pattern to select messages by, if the stream no longer retains it and so can't filter. */
  readonly unfiltered: string | undefined;
}

/** A stream as it is now. */
export interface Snapshot extends KnownStream {
  readonly first: number;
  readonly last: number;
}

/** Reads retained messages from the server, with a new consumer for each reading. */
export class History {
  readonly #nats: MonitoredConnection;
  readonly #client: JetStreamClient;
  readonly #manager: Promise<JetStreamManager>;
  readonly #messageOf: (epoch: string, message: JsMsg, replayed: boolean) => Message;
  /** One question of a stream at a time, for all who ask in one turn. */
  readonly #snapshots = new Map<string, Promise<Snapshot>>();

  constructor(
    nats: MonitoredConnection,
    client: JetStreamClient,
    manager: Promise<JetStreamManager>,
    messageOf: (epoch: string, message: JsMsg, replayed: boolean) => Message,
  ) {
    this.#nats = nats;
    this.#client = client;
    this.#manager = manager;
    this.#messageOf = messageOf;
  }

  /** The stream as it is after this call. */
  snapshot(name: string): Promise<Snapshot> {
    const asked = this.#snapshots.get(name);
    if (asked !== undefined) return asked;
    const asking = this.#snapshot(name);
    this.#snapshots.set(name, asking);
    return asking;
  }

  async #snapshot(name: string): Promise<Snapshot> {
    await Promise.resolve();
    this.#snapshots.delete(name);
    const { streams } = await this.#manager;
    const info = await this.#nats.call(() => streams.info(name));
    const { first_seq, last_seq }: StreamState = info.state;
    return { ...known(info), first: first_seq, last: last_seq };
  }

  /** All from `position` on. */
  async from(stream: Snapshot, filter: string, position: number): Promise<Range> {
    const { consumer, info } = await this.#open(stream, filter, position);
    try {
      await this.#mustBeSame(stream);
    } catch (error) {
      this.release(consumer);
      throw error;
    }
    const oldest = Date.parse(info.created) - stream.maxAge;
    const count = info.num_pending;
    const unfiltered = retains(stream, filter) ? undefined : filter;
    return { stream, from: position, consumer, count, skip: 0, oldest, unfiltered };
  }

  /**
   * The last `limit` messages. Where there are many more, their beginning is searched for by how
   * many follow it: in a stream of equal mixture the first guess is right.
   */
  async last(stream: Snapshot, filter: string, limit: number): Promise<Range> {
    let range = await this.from(stream, filter, stream.first);
    const enough = 4 * limit + PAGE;
    let least = stream.first;
    let most = stream.last + 1;
    let guess = most - Math.ceil((1.5 * limit * (most - least)) / range.count);
    while (range.count > enough && most - least > 1) {
      if (guess <= least || guess >= most) guess = Math.floor((least + most) / 2);
      const other = await this.from(stream, filter, guess);
      if (other.count < limit) {
        most = guess;
        this.release(other.consumer);
      } else {
        least = guess;
        this.release(range.consumer);
        range = other;
      }
      guess = Math.floor((least + most) / 2);
    }
    return { ...range, skip: Math.max(0, range.count - limit) };
  }

  /** Returns the range after a cursor, or `undefined` if a part of it is no longer retained. */
  async after(stream: Snapshot, wire: string, cursor: string): Promise<Range | undefined> {
    const [, epoch, time, digits] = CURSOR.exec(cursor) ?? [];
    const next = Number(digits) + 1;
    const isThere = epoch === stream.epoch && next >= stream.first && next <= stream.last + 1;
    if (!isThere) return undefined;
    if (time && !(await this.isStill(stream, next - 1, Number(time)))) return undefined;
    const range = await this.from(stream, wire, next);
    if (next > stream.last || !(await this.isExpired(range, next))) return range;
    this.release(range.consumer);
    return undefined;
  }

  /**
   * Reads a range, and awaits what `take` returns: at most one page is read ahead. Ends early if
   * `take` returns `false`. With `patient`, it waits for a lost connection to come back.
   *
   * Returns whether everything was read. Messages that are missing have expired meanwhile, or the
   * connection was lost.
   */
  async read(
    { stream, consumer, count, skip, oldest, unfiltered }: Range,
    take: (message: Message, position: number) => Promise<unknown> | unknown,
    { isPatient = true }: { readonly isPatient?: boolean } = {},
  ): Promise<boolean> {
    if (count <= skip) {
      this.release(consumer);
      return true;
    }
    let { name } = await consumer.info(true);
    const messages = await consumer.consume({ max_messages: PAGE, expires: 2_000 });
    let gone: unknown;
    // What was counted may expire before it is read: then nothing more comes.
    const look = async () => {
      try {
        const { num_pending } = await this.#nats.call(() => consumer.info());
        if (num_pending === 0) messages.stop();
      } catch (error) {
        // A consumer that a restart has lost is made anew by the client, a stream is not.
        if (isPatient && !this.#nats.hasEnded && !isStreamMissing(error)) return;
        gone = error;
        messages.stop();
      }
    };
    const idle = setInterval(() => void look(), IDLE);
    try {
      let read = 0;
      for await (const message of messages) {
        idle.refresh();
        if (message.info.consumer !== name) {
          // The client has made a lost consumer anew, maybe on a stream that was made again.
          await this.#mustBeSame(stream);
          name = message.info.consumer;
        }
        read += 1;
        const { streamSequence, pending } = message.info;
        const taken = this.#messageOf(stream.epoch, message, true);
        const matches = !unfiltered || matchesSubject(unfiltered, message.subject);
        const isAsked = read > skip && taken.time > oldest && matches;
        if (isAsked && (await take(taken, streamSequence)) === false) return true;
        if (read >= count || pending === 0) return true;
      }
      if (gone) throw gone;
      return false;
    } finally {
      clearInterval(idle);
      messages.stop();
      this.release(consumer);
    }
  }

  /**
   * Whether the message at a position is the one that was stored at this time, in milliseconds. One
   * that is no longer retained is taken for it.
   */
  async isStill({ name, first }: Snapshot, position: number, time: number): Promise<boolean> {
    if (position < first) return true;
    const { streams } = await this.#manager;
    const message = await this.#nats.call(() => streams.getMessage(name, { seq: position }));
    // The client rounds the nanoseconds of a delivered message.
    return message === null || Math.abs(message.time.getTime() - time) <= 1;
  }

  /** Whether a message is older than its stream keeps any, by the server's clock. */
  async isExpired({ stream, oldest }: Range, position: number): Promise<boolean> {
    if (stream.maxAge === Infinity) return false;
    const { streams } = await this.#manager;
    const message = await this.#nats.call(() => streams.getMessage(stream.name, { seq: position }));
    return message !== null && message.time.getTime() <= oldest;
  }

  /** Nobody waits for it: the server forgets it anyway, in minutes. */
  release(consumer: Consumer): void {
    if (this.#nats.isUp) void consumer.delete().catch(() => undefined);
  }

  /**
   * If the stream was made again in between, or restored from before its end, a consumer reads other
   * messages at these positions.
   */
  async #mustBeSame({ name, epoch, last }: Snapshot): Promise<void> {
    const now = await this.snapshot(name);
    if (now.epoch === epoch && now.last >= last) return;
    throw unavailable("the stream was made again or restored while it was to be read: ask again");
  }

  async #open(
    stream: KnownStream,
    filter: string,
    position: number,
  ): Promise<{ consumer: Consumer; info: ConsumerInfo }> {
    const consumer = await this.#nats.call(() =>
      this.#client.consumers.get(stream.name, {
        opt_start_seq: Math.max(1, position),
        ...(retains(stream, filter) && { filter_subjects: filter }),
      }),
    );
    return { consumer, info: await consumer.info(true) };
  }
}

const retains = ({ subjects }: KnownStream, filter: string): boolean =>
  subjects.some((subject) => covers(subject, filter));
