import { randomBytes } from "node:crypto";
import type { Message } from "@lanai/pubsub";
import { type Inbox, pushAll, type StreamSettings, SubjectIndex } from "@lanai/pubsub/backend";
import { type RedisClient, run, within } from "./client.ts";
import type { Listener } from "./link.ts";
import type { Names } from "./names.ts";
import { type Follower, Wired } from "./route.ts";
import { HEAD, LOOK_BACK, NEW_EPOCH, READ, type Script } from "./scripts.ts";

/** A place in a stream: behind the message with this id. */
export interface Position {
  readonly epoch: string;
  /** `<ms>-<count>` */
  readonly id: string;
  /** `NaN` where it doesn't matter whether something before it is missing. */
  readonly count: number;
}

const countOf = (id: string): number => Number(id.slice(id.indexOf("-") + 1));
export const timeOf = (id: string): number => Number(id.slice(0, id.indexOf("-")));
export const cursorOf = ({ epoch, id }: Position): string => `${epoch}:${id}`;

/** What a cursor says, if it is one. It comes from clients. */
export const positionOf = (cursor: string): Position | undefined => {
  const [, epoch, id] = /^([\w-]{12}):(\d{1,15}-\d{1,15})$/.exec(cursor) ?? [];
  return epoch === undefined || id === undefined ? undefined : { epoch, id, count: countOf(id) };
};

/** Where a stream that nothing was written to begins. */
export const beginning = (epoch: string): Position => ({ epoch, id: "0-0", count: 0 });

export interface Page {
  readonly messages: readonly Stored[];
  /** Up to where it goes. */
  readonly last: Position;
  /** The counter of the first message that is retained, if there is one. */
  readonly first: number | undefined;
  /** The counter of the last message that there was. */
  readonly head: number;
  readonly isEnd: boolean;
  /** Where it should begin was never there: the server has lost what it had. */
  readonly isUnknown: boolean;
}

export interface Stored {
  readonly id: string;
  readonly count: number;
  readonly subject: string;
  readonly data: Buffer;
}

export const messageOf = (epoch: string, stored: Stored, replayed: boolean): Message => ({
  id: `${epoch}:${stored.id}`,
  subject: stored.subject,
  data: stored.data,
  time: timeOf(stored.id),
  replayed,
});

/**
 * A stream, read from Redis and heard by its channel, on which all of it comes, one count after the
 * other: so whoever listens sees at once that something is missing.
 */
export class Retained extends Wired implements Listener {
  readonly name: string;
  readonly channel: string;
  settings: StreamSettings;
  readonly #redis: RedisClient;
  readonly #names: Names;
  readonly #timeout: number;
  readonly #index = new SubjectIndex<Inbox>();
  readonly #followers = new Set<Follower>();
  /** Up to where everything was heard; `undefined` from a loss until something was. */
  #position: Position | undefined;
  #asking: Promise<Position> | undefined;
  /** Where the stream was, and we were not yet, at the last check. */
  #ahead: Position | undefined;

  constructor(redis: RedisClient, names: Names, timeout: number, settings: StreamSettings) {
    super();
    this.#redis = redis;
    this.#names = names;
    this.#timeout = timeout;
    this.settings = settings;
    this.name = settings.name;
    this.channel = names.streamChannel(settings.name);
  }

  get position(): Position | undefined {
    return this.#position;
  }

  get isUnused(): boolean {
    return this.#followers.size === 0;
  }

  add(follower: Follower): void {
    this.#followers.add(follower);
    this.#index.add(follower.subject, follower.inbox);
  }

  delete(follower: Follower): void {
    this.#followers.delete(follower);
    this.#index.delete(follower.subject, follower.inbox);
  }

  message(_channel: string, bytes: Buffer): void {
    const end = bytes.indexOf("\n");
    const [epoch, id, subject] = bytes.toString("utf8", 0, Math.max(0, end)).split(" ");
    if (epoch === undefined || id === undefined || subject === undefined) return;
    const count = countOf(id);
    const last = this.#position;
    if (last) {
      const isSame = epoch === last.epoch;
      // It was under way when the position was asked for.
      if (isSame && count <= last.count) return;
      if (!isSame || count > last.count + 1) this.#missed();
    }
    this.#position = { epoch, id, count };
    const message = { id: `${epoch}:${id}`, subject, data: bytes.subarray(end + 1) };
    const inboxes = this.#index.match(subject);
    pushAll(inboxes, { ...message, time: timeOf(id), replayed: false }, epoch, count);
  }

  override lost(): void {
    super.lost();
    this.#missed();
  }

  override refused(error: Error): void {
    super.refused(error);
    for (const follower of this.#followers) follower.refused(error);
  }

  /** Where the stream is at some moment after the call. */
  head(): Promise<Position> {
    // Together with whoever asks in this turn.
    this.#asking ??= Promise.resolve().then(async () => {
      this.#asking = undefined;
      const position = await this.#head();
      if (this.isUp) this.#position ??= position;
      return position;
    });
    return this.#asking;
  }

  /** Resolves when it would be noticed that something is missing. */
  async watched(): Promise<void> {
    if (!this.#position) await this.head();
  }

  async #head(): Promise<Position> {
    const args = [newEpoch(), ...this.#limits()];
    const [epoch, id] = (await this.#run(HEAD, args)) as [Buffer, Buffer];
    return { epoch: `${epoch}`, id: `${id}`, count: countOf(`${id}`) };
  }

  async read(from: Position, pattern: string): Promise<Page> {
    const args = [newEpoch(), ...this.#limits(), from.id, pattern];
    const reply = (await this.#run(READ, args)) as Buffer[];
    const [epoch = "", first = "", last = "", state = "", head = ""] = reply
      .slice(0, 5)
      .map(String);
    const messages: Stored[] = [];
    for (let n = 5; n < reply.length; n += 3) {
      const [id, subject, data] = reply.slice(n, n + 3) as [Buffer, Buffer, Buffer];
      messages.push({ id: `${id}`, count: countOf(`${id}`), subject: `${subject}`, data });
    }
    return {
      messages,
      last: { epoch, id: last, count: last === from.id ? from.count : countOf(last) },
      first: first === "" ? undefined : countOf(first),
      head: countOf(head),
      isEnd: state === "end",
      isUnknown: state === "unknown",
    };
  }

  /** Where to begin for the last `limit` messages up to a position. */
  async lookBack(to: Position, pattern: string, limit: number): Promise<Position> {
    const { epoch } = to;
    let { id } = to;
    for (let left = limit; ; ) {
      if (left === Infinity || id === "0-0") return { epoch, id: "0-0", count: NaN };
      const args = [newEpoch(), ...this.#limits(), id, pattern, `${left}`];
      const reply = (await this.#run(LOOK_BACK, args)) as Buffer[];
      const [, at = "", found = "", state = ""] = reply.map(String);
      if (state === "end") return { epoch, id: at, count: NaN };
      id = at;
      left -= Number(found);
    }
  }

  /** Makes cursors worthless that know of more than there is. */
  async endEpoch(epoch: string): Promise<void> {
    await this.#run(NEW_EPOCH, [newEpoch(), epoch]);
    if (this.#position?.epoch === epoch) this.#position = undefined;
  }

  /** Whether something was missed though the connection lives; what is on its way gets its time. */
  async check(): Promise<void> {
    if (!this.isUp || !this.#position) return;
    const head = await this.#head();
    const { epoch, count } = this.#position ?? head;
    const ahead = this.#ahead;
    this.#ahead = head;
    if (epoch === head.epoch && count >= head.count) this.#ahead = undefined;
    else if (ahead && (ahead.epoch !== epoch || count < ahead.count)) this.#missed();
  }

  #missed(): void {
    this.#ahead = undefined;
    for (const follower of this.#followers) follower.lost(this);
    this.#position = undefined;
  }

  #limits(): [string, string] {
    const { maxMsgs, maxAge } = this.settings;
    return [`${maxMsgs}`, maxAge === Infinity ? "" : `${maxAge}`];
  }

  #run(script: Script, args: readonly string[]): Promise<unknown> {
    const key = this.#names.stream(this.name);
    return within(this.#timeout, run(this.#redis, script, [key, `${key}:meta`], args));
  }
}

export const newEpoch = (): string => randomBytes(9).toString("base64url");
