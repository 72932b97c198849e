import { setTimeout as sleep } from "node:timers/promises";
import type { SubscribeOptions } from "@lanai/pubsub";
import { type Inbox, matchesSubject, overlaps } from "@lanai/pubsub/backend";
import { unavailable } from "../redis/client.ts";
import { luaPattern } from "../redis/lua-pattern.ts";
import type { StreamChannel } from "../streams/stream-channel.ts";
import {
  beginningOf,
  cursorOf,
  isMissingBefore,
  messageOf,
  positionOf,
  type StoredMessage,
  type StreamPage,
  type StreamPosition,
  timeOf,
} from "../streams/stream-position.ts";
import type { Channel, ChannelUser, PlainChannel } from "./channel.ts";

/** Between two attempts to read, in milliseconds. */
const RETRY_DELAY = 200;
const ANY_EPOCH = "";

export interface CatchUpParts {
  readonly subject: string;
  readonly inbox: Inbox;
  /** The channel on which the subscription receives plain messages. */
  readonly plain: PlainChannel;
  /** Whether one stream retains all of the subject now. */
  readonly isRetained: () => boolean;
  /** Resolves when what came to this process before the call has been delivered or is held. */
  readonly fence: (channel: StreamChannel) => Promise<void>;
}

/** A stream while it is read: what isn't delivered yet, and where the page ends. */
interface Reading {
  readonly channel: StreamChannel;
  messages: StoredMessage[];
  end: StreamPosition;
  isEnd: boolean;
}

/**
 * Brings a subscription from where it is to the present: first when it begins, then whenever
 * something was missed. Live messages wait in its inbox meanwhile.
 *
 * The order of a publisher's messages is kept (law P10):
 *
 * - what is read of a stream ends where the messages begin that the inbox holds of it, because
 *   messages of other sources may be among those;
 * - a page is delivered only when everything has come that was published before it was read;
 * - several streams are read side by side and delivered in the order of their times.
 */
export class CatchUp implements ChannelUser {
  readonly subject: string;
  readonly inbox: Inbox;
  readonly plain: PlainChannel;
  hasBegun = false;
  readonly #isRetained: () => boolean;
  readonly #fence: (channel: StreamChannel) => Promise<void>;
  readonly #pattern: string;
  /** The streams that the subscription hears, and up to where each was read. */
  readonly #streams = new Map<StreamChannel, StreamPosition>();
  /** The length of a stream when the subscription began, by epoch: that much is history. */
  readonly #starts = new Map<string, number>();
  /** Those that it hears since this catch-up began. */
  readonly #joining = new Set<StreamChannel>();
  #losses = 0;
  #hasGap = false;
  #isRunning = false;

  constructor({ subject, inbox, plain, isRetained, fence }: CatchUpParts) {
    this.subject = subject;
    this.inbox = inbox;
    this.plain = plain;
    this.#isRetained = isRetained;
    this.#fence = fence;
    this.#pattern = luaPattern(subject);
  }

  hears(channel: StreamChannel): boolean {
    return this.#streams.has(channel);
  }

  /** Begins in the present. */
  async begin(channels: readonly StreamChannel[]): Promise<void> {
    const losses = this.#losses;
    await this.plain.up;
    for (const channel of channels) await this.#beginIn(channel);
    this.#begun();
    if (losses !== this.#losses || !this.inbox.live()) void this.run();
  }

  /**
   * Begins in the stream that retains all of the subject, in the present or in the past, and in the
   * present of the others, which retained some of it once.
   */
  async beginInside(
    channel: StreamChannel,
    others: readonly StreamChannel[],
    { since, replay = 0 }: SubscribeOptions,
  ): Promise<void> {
    const { inbox } = this;
    if (!since && replay === 0) {
      await this.begin([channel, ...others]);
      inbox.cursor ??= cursorOf(this.#streams.get(channel) as StreamPosition);
      return;
    }
    await this.plain.up;
    for (const other of others) await this.#beginIn(other);
    const head = await this.#headOf(channel);
    let from = since ? await this.#resume(channel, since) : undefined;
    if (since) inbox.recovered = from !== undefined;
    if (since && !from) inbox.gap("cursor");
    from ??= replay > 0 ? await channel.stored.lookBack(head, this.#pattern, replay) : head;
    inbox.startAfter(from.epoch, from.count || 0);
    inbox.cursor = cursorOf(from);
    this.#streams.set(channel, { ...from, passed: head.passed });
    this.#begun();
    void this.run();
  }

  async #beginIn(channel: StreamChannel): Promise<void> {
    const head = await this.#headOf(channel);
    this.inbox.startAfter(head.epoch, head.count);
    this.#streams.set(channel, head);
  }

  async #headOf(channel: StreamChannel): Promise<StreamPosition> {
    await channel.up;
    // Not what was heard last: more may be on its way.
    const head = await channel.head();
    this.#starts.set(head.epoch, head.count);
    return head;
  }

  #begun(): void {
    this.hasBegun = true;
    this.#hasGap = !this.plain.isUp && !this.#isRetained();
  }

  /** Hears a stream that has come into being since, or is new to the subject, from its beginning. */
  join(channel: StreamChannel): void {
    this.#startOver();
    this.#joining.add(channel);
    // Until it hears the stream, plain messages that come were sent before the stream took them.
    this.inbox.plainIsOlder = true;
    this.#streams.set(channel, beginningOf(ANY_EPOCH));
    channel.add(this);
    void this.run();
  }

  lost(channel: Channel): void {
    if (this.inbox.status === "closed") return;
    if (channel === this.plain && !this.plain.isUp && !this.#isRetained()) this.#hasGap = true;
    this.#startOver();
    void this.run();
  }

  #startOver(): void {
    const { inbox } = this;
    this.#losses += 1;
    if (inbox.status === "live") {
      inbox.sync();
      this.#starts.clear();
      for (const [channel, at] of this.#streams) {
        this.#streams.set(channel, channel.position ?? at);
      }
    } else {
      for (const channel of this.#streams.keys()) this.#countPassed(channel);
      inbox.forgetHeld();
    }
  }

  /** Notices whether the stream has passed on messages while it wasn't heard. */
  #countPassed(channel: StreamChannel): void {
    const at = this.#streams.get(channel);
    const { position, passedBefore } = channel;
    if (!at || !position) return;
    // Of another epoch, all that was before is reported as missing.
    if (at.epoch !== position.epoch && at.epoch !== ANY_EPOCH) return;
    const { former } = channel.stored.settings;
    const isConcerned = former.some((it) => overlaps(it, this.subject));
    if (isConcerned && passedBefore > at.passed) this.#hasGap = true;
    const passed = Number.isNaN(position.passed) ? at.passed : position.passed;
    this.#streams.set(channel, { ...at, passed });
  }

  refused(error: Error): void {
    // Until then, whoever waits for the beginning is told.
    if (this.hasBegun) this.inbox.fail(unavailable(error));
  }

  /** Reads until the subscription is in the present, and stays there. */
  async run(): Promise<void> {
    if (this.#isRunning || !this.hasBegun) return;
    this.#isRunning = true;
    try {
      while (this.inbox.status === "syncing") {
        await this.plain.up;
        for (const channel of this.#streams.keys()) await channel.up;
        const losses = this.#losses;
        try {
          await this.#settleJoining();
          // Before it is read: what comes after what is read must not be taken for the next.
          for (const channel of this.#streams.keys()) await channel.watched();
          for (const channel of this.#streams.keys()) this.#countPassed(channel);
          if (this.#hasGap) this.inbox.gap("reconnect");
          this.#hasGap = false;
          await this.#readAll();
        } catch {
          await sleep(RETRY_DELAY);
          continue;
        }
        if (losses === this.#losses) this.inbox.live();
      }
    } catch {
      // What it waits for was refused, which is reported.
    } finally {
      this.#isRunning = false;
    }
  }

  async #settleJoining(): Promise<void> {
    const joining = [...this.#joining];
    for (const channel of joining) await this.#fence(channel);
    for (const channel of joining) this.#joining.delete(channel);
    this.inbox.plainIsOlder = this.#joining.size > 0;
  }

  async #resume(channel: StreamChannel, cursor: string): Promise<StreamPosition | undefined> {
    const from = positionOf(cursor);
    if (!from) return undefined;
    const page = await channel.stored.read(from, this.#pattern);
    const isKnown =
      page.last.epoch === from.epoch && !page.isUnknown && !isMissingBefore(page, from);
    return isKnown ? from : undefined;
  }

  /** Reads all streams to their ends, and delivers what is read in the order of its times. */
  async #readAll(): Promise<void> {
    const { inbox } = this;
    const readings = [...this.#streams.keys()].map(
      (channel): Reading => ({
        channel,
        messages: [],
        end: this.#streams.get(channel) as StreamPosition,
        isEnd: false,
      }),
    );
    for (;;) {
      for (const reading of readings) {
        while (reading.messages.length === 0 && !reading.isEnd) {
          if (inbox.status !== "syncing") return;
          await this.#readPage(reading);
          await inbox.room();
        }
      }
      const left = readings.filter(({ messages }) => messages.length > 0);
      if (left.length === 0) return;
      this.#deliverUntilOneIsEmpty(left);
    }
  }

  #deliverUntilOneIsEmpty(readings: readonly Reading[]): void {
    for (;;) {
      const next = readings.reduce((one, other) => (headTime(other) < headTime(one) ? other : one));
      const { channel, messages, end } = next;
      const stored = messages.shift() as StoredMessage;
      const { epoch } = end;
      const start = this.#starts.get(epoch) ?? Infinity;
      this.inbox.replay(messageOf(epoch, stored, stored.count <= start), epoch, stored.count);
      // If reading fails now, it goes on from here.
      const { id, count } = stored;
      this.#streams.set(channel, messages.length === 0 ? end : { ...end, id, count });
      if (messages.length === 0) return;
    }
  }

  async #readPage(reading: Reading): Promise<void> {
    const { channel } = reading;
    const { inbox } = this;
    const from = this.#streams.get(channel) as StreamPosition;
    const page = await channel.stored.read(from, this.#pattern);
    const { epoch } = page.last;
    if (epoch !== from.epoch || page.isUnknown) {
      this.#streams.set(channel, await this.#startAnew(channel, from, page));
      return;
    }
    if (page.messages.length > 0) await this.#fence(channel);
    if (isMissingBefore(page, from)) inbox.gap("expired");
    // What was there when the subscription began is history, also if it has come live meanwhile.
    const until = Math.max(inbox.heldAfter(epoch) ?? Infinity, this.#starts.get(epoch) ?? 0);
    const isCut = page.last.count > until;
    const messages = page.messages.filter(({ count }) => count <= until);
    const { id, count } = messages.at(-1) ?? from;
    reading.messages = messages.filter(({ subject }) => matchesSubject(this.subject, subject));
    reading.end = isCut ? { ...from, id, count } : { ...page.last, passed: from.passed };
    reading.isEnd = page.isEnd || isCut;
    if (reading.messages.length === 0) this.#streams.set(channel, reading.end);
  }

  /** Reports that messages are missing, and returns from where to read on. */
  async #startAnew(
    channel: StreamChannel,
    from: StreamPosition,
    page: StreamPage,
  ): Promise<StreamPosition> {
    const { epoch } = page.last;
    if (epoch !== from.epoch) {
      if (from.epoch !== ANY_EPOCH) this.inbox.gap("expired");
      return { ...beginningOf(epoch), passed: channel.position?.passed ?? 0 };
    }
    await channel.endEpoch(epoch);
    this.inbox.gap("expired");
    // What came after it has a later time.
    const { epoch: next, passed } = await channel.head();
    return { epoch: next, id: `${timeOf(from.id) + 1}-0`, count: NaN, passed };
  }
}

const headTime = ({ messages: [first] }: Reading): number => timeOf(first?.id ?? "");
