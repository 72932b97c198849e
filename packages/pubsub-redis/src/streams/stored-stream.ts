import { randomBytes } from "node:crypto";
import type { Message } from "@lanai/pubsub";
import { cursorLost, matchesSubject } from "@lanai/pubsub/backend";
import { type RedisClient, run, within } from "../redis/client.ts";
import { luaPattern } from "../redis/lua-pattern.ts";
import type { RedisNames } from "../redis/names.ts";
import { HEAD, LOOK_BACK, NEW_EPOCH, READ, type Script } from "../redis/scripts.ts";
import type { ListedStream } from "./stream-list.ts";
import {
  countOf,
  isMissingBefore,
  messageOf,
  positionOf,
  type StoredMessage,
  type StreamPage,
  type StreamPosition,
} from "./stream-position.ts";

/** Reads one stream from Redis, by scripts that have a timeout each. */
export class StoredStream {
  settings: ListedStream;
  readonly #redis: RedisClient;
  readonly #names: RedisNames;
  readonly #timeout: number;

  constructor(redis: RedisClient, names: RedisNames, timeout: number, settings: ListedStream) {
    this.#redis = redis;
    this.#names = names;
    this.#timeout = timeout;
    this.settings = settings;
  }

  /** Returns where the stream is now. What its limits no longer allow is removed. */
  async head(): Promise<StreamPosition> {
    const reply = (await this.#run(HEAD)) as Buffer[];
    const [epoch = "", id = "", passed = ""] = reply.map(String);
    return { epoch, id, count: countOf(id), passed: Number(passed) };
  }

  /** Returns a page of the messages behind `from` that match a pattern of Lua. */
  async read(from: StreamPosition, pattern: string): Promise<StreamPage> {
    const reply = (await this.#run(READ, from.id, pattern)) as Buffer[];
    const [epoch = "", first = "", last = "", state = "", head = ""] = reply
      .slice(0, 5)
      .map(String);
    const messages: StoredMessage[] = [];
    for (let n = 5; n < reply.length; n += 3) {
      const [id, subject, data] = reply.slice(n, n + 3) as [Buffer, Buffer, Buffer];
      messages.push({ id: `${id}`, count: countOf(`${id}`), subject: `${subject}`, data });
    }
    const count = last === from.id ? from.count : countOf(last);
    return {
      messages,
      last: { epoch, id: last, count, passed: from.passed },
      first: first === "" ? undefined : countOf(first),
      head: countOf(head),
      isEnd: state === "end",
      isUnknown: state === "unknown",
    };
  }

  /** Returns where to begin for the last `limit` messages up to a position. */
  async lookBack(to: StreamPosition, pattern: string, limit: number): Promise<StreamPosition> {
    let { id } = to;
    for (let left = limit; ; ) {
      if (left === Infinity || id === "0-0") return { ...to, id: "0-0", count: NaN };
      const reply = (await this.#run(LOOK_BACK, id, pattern, `${left}`)) as Buffer[];
      const [, at = "", found = "", state = ""] = reply.map(String);
      if (state === "end") return { ...to, id: at, count: NaN };
      id = at;
      left -= Number(found);
    }
  }

  /** Returns the last messages of a subject or pattern, oldest first. */
  async last(subject: string, limit: number): Promise<Message[]> {
    if (limit === 0) return [];
    const pattern = luaPattern(subject);
    const head = await this.head();
    let from = await this.lookBack(head, pattern, limit);
    const messages: Message[] = [];
    for (;;) {
      const page = await this.read(from, pattern);
      for (const stored of page.messages) {
        if (stored.count > head.count) return messages;
        if (!matchesSubject(subject, stored.subject)) continue;
        messages.push(messageOf(page.last.epoch, stored, true));
      }
      if (page.isEnd || page.isUnknown || page.last.count >= head.count) return messages;
      from = page.last;
    }
  }

  /**
   * Returns the first messages of a subject or pattern after a cursor.
   *
   * @throws PubSubError `ERR_PUBSUB_CURSOR` if that can't be resumed.
   */
  async after(subject: string, limit: number, since: string): Promise<Message[]> {
    const pattern = luaPattern(subject);
    const messages: Message[] = [];
    let from = positionOf(since);
    if (from === undefined) throw cursorLost(subject);
    for (let isFirst = true; ; isFirst = false) {
      const page: StreamPage = await this.read(from, pattern);
      const { epoch } = page.last;
      const isLost = epoch !== from.epoch || page.isUnknown || isMissingBefore(page, from);
      if (isLost && isFirst) throw cursorLost(subject);
      // What was trimmed meanwhile is reported to the call that goes on from here.
      if (isLost) return messages;
      for (const stored of page.messages) {
        if (messages.length >= limit) return messages;
        if (!matchesSubject(subject, stored.subject)) continue;
        messages.push(messageOf(epoch, stored, true));
      }
      if (page.isEnd || messages.length >= limit) return messages;
      from = page.last;
    }
  }

  /** Begins another epoch: cursors of this one know of more than there is, and are worthless. */
  async endEpoch(epoch: string): Promise<void> {
    await this.#run(NEW_EPOCH, epoch);
  }

  #run(script: Script, ...args: readonly string[]): Promise<unknown> {
    const key = this.#names.stream(this.settings.name);
    const all = [newEpoch(), `${this.settings.revision}`, ...limitsOf(this.settings), ...args];
    return within(this.#timeout, run(this.#redis, script, [key, `${key}:meta`], all));
  }
}

/** Returns a stream's limits as the scripts take them. */
export function limitsOf({ maxMsgs, maxAge }: ListedStream): [string, string] {
  return [`${maxMsgs}`, maxAge === Infinity ? "" : `${maxAge}`];
}

export function newEpoch(): string {
  return randomBytes(9).toString("base64url");
}
