import { pushAll } from "@lanai/pubsub/backend";
import { Channel } from "../subscribing/channel.ts";
import type { ChannelListener } from "../subscribing/subscriber-connection.ts";
import type { StoredStream } from "./stored-stream.ts";
import { countOf, type StreamPosition, timeOf } from "./stream-position.ts";

/**
 * The channel of a stream, on which all its messages come, one count after the other: whoever listens
 * sees at once that something is missing. Messages that the stream passes on without storing them
 * come on it too, with a count of their own.
 */
export class StreamChannel extends Channel implements ChannelListener {
  readonly stored: StoredStream;
  readonly name: string;
  /**
   * Up to where everything was heard; `undefined` from a loss until something was. `passed` is `NaN`
   * as long as only stored messages were heard.
   */
  #position: StreamPosition | undefined;
  /** The number of messages that had been passed on when this channel was subscribed. */
  #passedBefore = NaN;
  #asking: Promise<StreamPosition> | undefined;
  /** Where the stream was, and this channel was not yet, at the last check. */
  #ahead: StreamPosition | undefined;

  /** `name` is that of the channel. */
  constructor(stored: StoredStream, name: string) {
    super();
    this.stored = stored;
    this.name = name;
  }

  get position(): StreamPosition | undefined {
    return this.#position;
  }

  get passedBefore(): number {
    return this.#passedBefore;
  }

  message(_channel: string, bytes: Buffer): void {
    const end = bytes.indexOf("\n");
    const [epoch, place, subject] = bytes.toString("utf8", 0, Math.max(0, end)).split(" ");
    if (epoch === undefined || place === undefined || subject === undefined) return;
    const [id = "", passedOn] = place.split("+");
    const position = {
      epoch,
      id,
      count: countOf(id),
      passed: passedOn === undefined ? (this.#position?.passed ?? NaN) : Number(passedOn),
    };
    const isStored = passedOn === undefined;
    if (!this.#isNext(position, isStored)) return;
    this.#position = position;
    const data = bytes.subarray(end + 1);
    const inboxes = this.index.match(subject);
    const message = isStored
      ? { id: `${epoch}:${id}`, subject, data, time: timeOf(id), replayed: false }
      : { id: undefined, subject, data, time: Date.now(), replayed: false };
    pushAll(inboxes, message, epoch, position.count, !isStored);
  }

  override lost(): void {
    super.lost();
    this.#missed();
  }

  /** Resolves to where the stream is at some moment after the call. */
  head(): Promise<StreamPosition> {
    // Together with whoever asks in this turn.
    this.#asking ??= Promise.resolve().then(async () => {
      this.#asking = undefined;
      const position = await this.stored.head();
      const { epoch, passed } = this.#position ?? position;
      const isBeginning = !this.#position || (Number.isNaN(passed) && epoch === position.epoch);
      if (this.isUp && isBeginning) {
        this.#beginAt({ ...position, ...this.#position, passed: position.passed });
      }
      return position;
    });
    return this.#asking;
  }

  /** Resolves when it would be noticed that something is missing. */
  async watched(): Promise<void> {
    if (!this.#position || Number.isNaN(this.#position.passed)) await this.head();
  }

  async endEpoch(epoch: string): Promise<void> {
    await this.stored.endEpoch(epoch);
    if (this.#position?.epoch === epoch) this.#position = undefined;
  }

  /** Checks whether something was missed though the connection lives. What is on its way gets its time. */
  async check(): Promise<void> {
    if (!this.isUp || !this.#position) return;
    const head = await this.stored.head();
    const { epoch, count, passed } = this.#position ?? head;
    const ahead = this.#ahead;
    this.#ahead = head;
    if (epoch === head.epoch && count >= head.count && !(passed < head.passed)) {
      this.#ahead = undefined;
    } else if (ahead && (ahead.epoch !== epoch || count < ahead.count || passed < ahead.passed)) {
      this.#missed();
    }
  }

  /** Whether a message is new; notices that some before it are missing. */
  #isNext({ epoch, id, count, passed }: StreamPosition, isStored: boolean): boolean {
    const last = this.#position;
    if (last) {
      const isSame = epoch === last.epoch;
      // It was under way when the position was asked for.
      if (isSame && (isStored ? count <= last.count : passed <= last.passed)) return false;
      const next = isStored ? count - 1 : count;
      const isMissing = next > last.count || (!isStored && passed > last.passed + 1);
      if (!isSame || isMissing) this.#missed();
    }
    if (!this.#position) {
      this.#beginAt({ epoch, id, count, passed: isStored ? passed : passed - 1 });
    }
    return true;
  }

  #beginAt(position: StreamPosition): void {
    this.#position = position;
    this.#passedBefore = position.passed;
  }

  #missed(): void {
    this.#ahead = undefined;
    for (const user of this.users) user.lost(this);
    this.#position = undefined;
  }
}
