import type { StreamSettings } from "../calls/stream-settings.ts";
import type { Message, Payload } from "../pubsub.ts";
import { subjectMatcher } from "../subjects/subject.ts";

/** The time during which a `messageId` is recognised, in milliseconds. */
const DEDUP_WINDOW = 120_000;

interface Stored {
  readonly message: Message;
  readonly position: number;
}

/** The history that a subscription begins with. */
export interface Past {
  readonly messages: readonly Stored[];
  /** The cursor just before the first of the messages. */
  readonly cursor: string;
  /** Whether `since` was resumed; `undefined` without one. */
  readonly recovered: boolean | undefined;
}

/** The retained messages of one stream, in their order; the oldest go when a limit is reached. */
export class MemoryStream {
  /** Cursors are `epoch.position`: those of a stream before a restart are none of this one. */
  readonly #epoch: string;
  #settings: StreamSettings;
  /** The retained ones begin at `#head`. */
  #stored: (Stored | undefined)[] = [];
  #head = 0;
  #last = 0;
  readonly #published = new Map<string, number>();

  constructor(settings: StreamSettings, epoch: string) {
    this.#settings = settings;
    this.#epoch = epoch;
  }

  get name(): string {
    return this.#settings.name;
  }

  get subjects(): readonly string[] {
    return this.#settings.subjects;
  }

  /** The position of the newest message; 0 if there was none yet. */
  get last(): number {
    return this.#last;
  }

  configure(settings: StreamSettings, now: number): void {
    this.#settings = settings;
    this.#trim(now);
  }

  /** Stores a message; `undefined` if its `messageId` is known. */
  append(subject: string, data: Payload, now: number, messageId?: string): Message | undefined {
    if (messageId !== undefined && !this.#isFirst(messageId, now)) return undefined;
    this.#last += 1;
    const id = this.#cursor(this.#last);
    const message: Message = { id, subject, data, time: now, replayed: false };
    this.#stored.push({ message, position: this.#last });
    this.#trim(now);
    return message;
  }

  /** Returns what follows the cursor `since`; the last `limit` messages if it can't be resumed. */
  read(subject: string, now: number, since: string | undefined, limit: number): Past {
    this.#trim(now);
    const matches = subjectMatcher(subject);
    const after = since === undefined ? undefined : this.#resume(since);
    const messages: Stored[] = [];
    const least = after === undefined ? this.#first : after + 1;
    const most = after === undefined ? limit : Infinity;
    for (let i = this.#stored.length - 1; i >= this.#head && messages.length < most; i--) {
      const { message, position } = this.#stored[i] as Stored;
      if (position < least) break;
      if (matches(message.subject)) {
        messages.push({ message: { ...message, replayed: true }, position });
      }
    }
    messages.reverse();
    const recovered = since === undefined ? undefined : after !== undefined;
    const start = after ?? (messages[0] ? messages[0].position - 1 : this.#last);
    return { messages, cursor: this.#cursor(start), recovered };
  }

  get #first(): number {
    return this.#stored[this.#head]?.position ?? this.#last + 1;
  }

  #cursor(position: number): string {
    return `${this.#epoch}.${position}`;
  }

  /** The position of a cursor, if all that came after it is still here. */
  #resume(cursor: string): number | undefined {
    const [, epoch, digits] = /^([\w-]+)\.(0|[1-9]\d{0,14})$/.exec(cursor) ?? [];
    const position = Number(digits);
    if (epoch !== this.#epoch || position > this.#last) return undefined;
    return position + 1 >= this.#first ? position : undefined;
  }

  #isFirst(messageId: string, now: number): boolean {
    // The oldest come first.
    for (const [known, until] of this.#published) {
      if (until > now) break;
      this.#published.delete(known);
    }
    if (this.#published.has(messageId)) return false;
    this.#published.set(messageId, now + DEDUP_WINDOW);
    return true;
  }

  #trim(now: number): void {
    const { maxMsgs, maxAge } = this.#settings;
    while (this.#head < this.#stored.length) {
      const { message } = this.#stored[this.#head] as Stored;
      if (this.#stored.length - this.#head <= maxMsgs && message.time + maxAge > now) break;
      this.#stored[this.#head] = undefined;
      this.#head += 1;
    }
    if (this.#head > 64 && this.#head * 2 > this.#stored.length) {
      this.#stored = this.#stored.slice(this.#head);
      this.#head = 0;
    }
  }
}
