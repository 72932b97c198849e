import { setTimeout as sleep } from "node:timers/promises";
import type { SubscribeOptions } from "@lanai/pubsub";
import { type Inbox, matchesSubject } from "@lanai/pubsub/backend";
import { unavailable } from "./client.ts";
import { luaPattern } from "./lua-pattern.ts";
import {
  beginning,
  cursorOf,
  messageOf,
  type Page,
  type Position,
  positionOf,
  type Retained,
  timeOf,
} from "./retained.ts";
import type { Follower, Route } from "./route.ts";

/** Between two attempts to read, in milliseconds. */
const RETRY_DELAY = 200;
const ANY_EPOCH = "";

/**
 * Brings a subscription from where it is to the present: first when it begins, then whenever
 * something was missed. Live messages wait in its inbox meanwhile.
 */
export class Sync implements Follower {
  readonly subject: string;
  readonly inbox: Inbox;
  readonly route: Route;
  readonly #isInside: () => boolean;
  readonly #pattern: string;
  /** The streams that it hears, and up to where each was read. */
  readonly #streams = new Map<Retained, Position>();
  /** What was in a stream when the subscription began is history. */
  readonly #starts = new Map<string, number>();
  #losses = 0;
  #hasGap = false;
  hasBegun = false;
  #isRunning = false;

  /** `isInside` says whether one stream retains all of the subject. */
  constructor(subject: string, inbox: Inbox, route: Route, isInside: () => boolean) {
    this.subject = subject;
    this.inbox = inbox;
    this.route = route;
    this.#isInside = isInside;
    this.#pattern = luaPattern(subject);
  }

  hears(stream: Retained): boolean {
    return this.#streams.has(stream);
  }

  /** Begins in the present. */
  async begin(streams: readonly Retained[]): Promise<void> {
    const losses = this.#losses;
    await this.route.up;
    for (const stream of streams) await this.#beginIn(stream);
    this.#begun();
    if (losses !== this.#losses || !this.inbox.live()) void this.run();
  }

  /** Begins in the one stream that retains all of the subject, in the present or in the past. */
  async beginInside(stream: Retained, { since, replay = 0 }: SubscribeOptions): Promise<void> {
    const { inbox } = this;
    if (!since && replay === 0) {
      await this.begin([stream]);
      inbox.cursor ??= cursorOf(this.#streams.get(stream) as Position);
      return;
    }
    await this.route.up;
    const head = await this.#headOf(stream);
    let from = since ? await this.#resume(stream, since) : undefined;
    if (since) inbox.recovered = from !== undefined;
    if (since && !from) inbox.gap("cursor");
    from ??= replay > 0 ? await stream.lookBack(head, this.#pattern, replay) : head;
    inbox.startAfter(from.epoch, from.count || 0);
    inbox.cursor = cursorOf(from);
    this.#streams.set(stream, from);
    this.#begun();
    void this.run();
  }

  async #beginIn(stream: Retained): Promise<void> {
    const head = await this.#headOf(stream);
    this.inbox.startAfter(head.epoch, head.count);
    this.#streams.set(stream, head);
  }

  async #headOf(stream: Retained): Promise<Position> {
    await stream.up;
    // Not what was heard last: more may be on its way.
    const head = await stream.head();
    this.#starts.set(head.epoch, head.count);
    return head;
  }

  #begun(): void {
    this.hasBegun = true;
    this.#hasGap = !this.route.isUp;
  }

  /** Hears a stream that has come into being since, from its first message on. */
  join(stream: Retained): void {
    this.lost(stream);
    this.#streams.set(stream, beginning(ANY_EPOCH));
    stream.add(this);
  }

  lost(source: object): void {
    const { inbox } = this;
    if (inbox.status === "closed") return;
    this.#losses += 1;
    if (source === this.route && !this.route.isUp) this.#hasGap = true;
    if (inbox.status === "live") {
      inbox.sync();
      this.#starts.clear();
      for (const [stream, at] of this.#streams) this.#streams.set(stream, stream.position ?? at);
    }
    void this.run();
  }

  refused(error: Error): void {
    // Until then, whoever waits for the beginning is told.
    if (this.hasBegun) this.inbox.fail(unavailable(error));
  }

  /** Reads until it is in the present, and stays there. */
  async run(): Promise<void> {
    if (this.#isRunning || !this.hasBegun) return;
    this.#isRunning = true;
    try {
      while (this.inbox.status === "syncing") {
        await this.route.up;
        for (const stream of this.#streams.keys()) await stream.up;
        const losses = this.#losses;
        if (this.#hasGap && !this.#isInside()) this.inbox.gap("reconnect");
        this.#hasGap = false;
        try {
          for (const stream of this.#streams.keys()) {
            // Before: what comes after what is read must not be taken for the next.
            await stream.watched();
            await this.#readOn(stream);
          }
        } catch {
          await sleep(RETRY_DELAY);
          continue;
        }
        if (losses === this.#losses) this.inbox.live();
      }
    } catch {
      // What it waits for was refused, of which it is told.
    } finally {
      this.#isRunning = false;
    }
  }

  async #resume(stream: Retained, cursor: string): Promise<Position | undefined> {
    const from = positionOf(cursor);
    if (!from) return undefined;
    const page = await stream.read(from, this.#pattern);
    const isKnown = page.last.epoch === from.epoch && !page.isUnknown && !misses(page, from);
    return isKnown ? from : undefined;
  }

  async #readOn(stream: Retained): Promise<void> {
    const { inbox } = this;
    let isEnd = false;
    while (!isEnd && inbox.status === "syncing") {
      const from = this.#streams.get(stream) as Position;
      const page = await stream.read(from, this.#pattern);
      const next = await this.#take(stream, from, page);
      if (next !== from) this.#streams.set(stream, next);
      await inbox.room();
      isEnd = page.isEnd && next === page.last;
    }
  }

  /** Delivers a page, and answers from where to read on. */
  async #take(stream: Retained, from: Position, page: Page): Promise<Position> {
    const { inbox } = this;
    const { epoch } = page.last;
    if (epoch !== from.epoch) {
      if (from.epoch !== ANY_EPOCH) inbox.gap("expired");
      return beginning(epoch);
    }
    if (page.isUnknown) {
      await stream.endEpoch(epoch);
      inbox.gap("expired");
      // What came after it has a later time.
      const { epoch: next } = await stream.head();
      return { epoch: next, id: `${timeOf(from.id) + 1}-0`, count: NaN };
    }
    if (misses(page, from)) inbox.gap("expired");
    const start = this.#starts.get(epoch) ?? Infinity;
    for (const stored of page.messages) {
      if (!matchesSubject(this.subject, stored.subject)) continue;
      inbox.replay(messageOf(epoch, stored, stored.count <= start), epoch, stored.count);
    }
    return page.last;
  }
}

/** Whether the stream has let go of something behind this place. */
const misses = (page: Page, from: Position): boolean =>
  page.first === undefined ? page.head > from.count : page.first > from.count + 1;
