import { randomBytes } from "node:crypto";
import { type Events, eventsOf } from "@lanai/connection/events";
import { parseJson } from "@lanai/connection/json";
import { PubSubError, type PubSubEvent } from "@lanai/pubsub";
import {
  covers,
  overlaps,
  type StreamSettings,
  SubjectIndex,
  streamOverlap,
} from "@lanai/pubsub/backend";
import { type RedisClient, run, within } from "../redis/client.ts";
import type { RedisNames } from "../redis/names.ts";
import { CHANGE_STREAMS, STREAMS } from "../redis/scripts.ts";

/** Others may change the list while we do. */
const ATTEMPTS = 16;
/** Subjects that a stream has retained once and are remembered, at most. The oldest are forgotten. */
const MAX_FORMER = 100;

/** A stream as the list in Redis has it. */
export interface ListedStream extends StreamSettings {
  /**
   * Subjects that it retained once, also if it retains them again. Messages on these subjects that no
   * stream retains are still sent through this one, so that they stay in order with those that it has
   * stored (law P10).
   */
  readonly former: readonly string[];
  /** Grows with each change. */
  readonly revision: number;
}

/** The stream that a subject is sent through, and whether the stream stores it. */
export interface StreamOfSubject {
  readonly stream: ListedStream;
  readonly isStored: boolean;
}

const events: Events<{ readonly stream: PubSubEvent }> = eventsOf("lanai:pubsub", ["stream"]);

/** The list of streams in Redis, and this process's copy of it. */
export class StreamList {
  readonly #redis: RedisClient;
  readonly #names: RedisNames;
  readonly #timeout: number;
  readonly #onChange: (stream: ListedStream) => void;
  readonly #known = new Map<string, ListedStream>();
  readonly #current = new SubjectIndex<ListedStream>();
  readonly #former = new SubjectIndex<ListedStream>();
  /** The streams that this process has asked for by `ensureStream`. */
  readonly #own = new Map<string, StreamSettings>();
  #loading: Promise<void> | undefined;
  #ensuring: Promise<void> = Promise.resolve();
  /** The version of the list; `undefined` until it was read. */
  version: string | undefined;

  constructor(
    redis: RedisClient,
    names: RedisNames,
    timeout: number,
    onChange: (stream: ListedStream) => void,
  ) {
    this.#redis = redis;
    this.#names = names;
    this.#timeout = timeout;
    this.#onChange = onChange;
  }

  all(): Iterable<ListedStream> {
    return this.#known.values();
  }

  /** Returns the stream by which a literal subject goes, as far as is known. */
  find(subject: string): StreamOfSubject | undefined {
    const [current] = this.#current.match(subject);
    if (current) return { stream: current, isStored: true };
    const former = this.#former.match(subject);
    if (former.length === 0) return undefined;
    // All processes have to choose the same.
    const stream = former.reduce((one, other) => (other.name < one.name ? other : one));
    return { stream, isStored: false };
  }

  /** Reads the list as it is at some moment after the call. */
  load(): Promise<void> {
    // One that is under way may have been answered before.
    if (!this.#loading) {
      this.#loading = Promise.resolve().then(() => {
        this.#loading = undefined;
        return this.#load();
      });
    }
    return this.#loading;
  }

  async #load(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { version, streams } = await this.#read();
      // A Redis that has lost its data gets the list back from whoever knows it.
      const lost = [...this.#known.values()].filter(
        ({ name, revision }) => (streams.get(name)?.revision ?? 0) < revision,
      );
      const current = lost.length === 0 ? version : await this.#change(version, lost);
      if (current !== undefined) return this.#learn(current, streams.values());
    }
    throw changedAgain();
  }

  /** Adds a stream, or changes one. Calls wait for each other, so as not to be in our own way. */
  ensure(settings: StreamSettings): Promise<void> {
    const ensured = this.#ensuring.then(() => this.#ensure(settings));
    this.#ensuring = ensured.catch(() => {});
    return ensured;
  }

  async #ensure(settings: StreamSettings): Promise<void> {
    this.#own.delete(settings.name);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { version, streams } = await this.#read();
      this.#learn(version, streams.values());
      for (const other of streams.values()) {
        if (other.name !== settings.name) refuseOverlap(settings, other);
      }
      const known = streams.get(settings.name);
      const changed = known && isSame(known, settings) ? undefined : changedFrom(known, settings);
      const next = changed ? await this.#change(version, [changed]) : version;
      if (next === undefined) continue;
      if (changed) this.#learn(next, [changed]);
      this.#own.set(settings.name, settings);
      return;
    }
    throw changedAgain();
  }

  async #read(): Promise<{ version: string; streams: Map<string, ListedStream> }> {
    const reply = await within(this.#timeout, run(this.#redis, STREAMS, [this.#names.streams], []));
    const fields = (reply as Buffer[]).map(String);
    const streams = new Map<string, ListedStream>();
    let version = "";
    for (let n = 0; n < fields.length; n += 2) {
      const [field = "", text = ""] = fields.slice(n, n + 2);
      if (field === "version") version = text;
      else streams.set(field.slice(1), listedOf(field.slice(1), text));
    }
    return { version, streams };
  }

  /** Resolves to the new version, if the list was still the one of `version`. */
  async #change(version: string, streams: readonly ListedStream[]): Promise<string | undefined> {
    const next = randomBytes(9).toString("base64url");
    const args = [version, next, this.#names.streamsChannel];
    for (const stream of streams) args.push(`=${stream.name}`, textOf(stream));
    const change = run(this.#redis, CHANGE_STREAMS, [this.#names.streams], args);
    return (await within(this.#timeout, change)) === null ? next : undefined;
  }

  #learn(version: string, streams: Iterable<ListedStream>): void {
    for (const stream of streams) {
      const known = this.#known.get(stream.name);
      if (known && known.revision >= stream.revision) continue;
      if (known) {
        for (const subject of known.subjects) this.#current.delete(subject, known);
        for (const subject of known.former) this.#former.delete(subject, known);
      }
      this.#known.set(stream.name, stream);
      for (const subject of stream.subjects) this.#current.add(subject, stream);
      for (const subject of stream.former) this.#former.add(subject, stream);
      this.#compare(stream);
      this.#onChange(stream);
    }
    this.version = version;
  }

  /** Reports that another process has changed the subjects of a stream of this one. */
  #compare({ name, subjects }: ListedStream): void {
    const own = this.#own.get(name);
    if (!own || hasSameItems(own.subjects, subjects)) return;
    const message =
      `another process has called ensureStream for ${name} with other subjects, which hold now: ` +
      `${subjects.join(", ")}. All processes have to ask for the same`;
    events.report("stream", `subjects of ${name}`, { level: "warn", subject: name, message });
  }
}

/** Whether a stream is as it was asked for. */
function isSame(known: ListedStream, { subjects, maxMsgs, maxAge }: StreamSettings): boolean {
  return (
    hasSameItems(known.subjects, subjects) && known.maxMsgs === maxMsgs && known.maxAge === maxAge
  );
}

function hasSameItems(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((it) => other.includes(it));
}

function changedFrom(known: ListedStream | undefined, settings: StreamSettings): ListedStream {
  const { subjects = [], former = [], revision = 0 } = known ?? {};
  const isCurrent = (subject: string) => settings.subjects.some((it) => covers(it, subject));
  const left = subjects.filter((it) => !isCurrent(it));
  const past = [...new Set([...former, ...left])];
  const needed = past.filter((it) => !past.some((wide) => wide !== it && covers(wide, it)));
  return { ...settings, former: needed.slice(-MAX_FORMER), revision: revision + 1 };
}

function textOf({ subjects, maxMsgs, maxAge, former, revision }: ListedStream): string {
  // JSON has no Infinity.
  return JSON.stringify({
    subjects,
    maxMsgs,
    maxAge: maxAge === Infinity ? 0 : maxAge,
    former,
    revision,
  });
}

/** @throws {PubSubError} `ERR_PUBSUB_DECODE` for what this package hasn't written. */
export function listedOf(name: string, text: string): ListedStream {
  let it: unknown;
  try {
    it = parseJson(text, 2);
  } catch {
    // Its message would quote what is stored.
  }
  const {
    subjects,
    maxMsgs,
    maxAge,
    former = [],
    revision = 0,
  } = (it ?? {}) as Partial<Record<keyof ListedStream, unknown>>;
  const isRight = isTexts(subjects) && isCount(maxMsgs) && isCount(maxAge) && isCount(revision);
  if (!isRight || !isTexts(former)) {
    throw new PubSubError(
      "ERR_PUBSUB_DECODE",
      "redisPubSub: the settings of a stream are not as this package writes them",
    );
  }
  return { name, subjects, maxMsgs, maxAge: maxAge === 0 ? Infinity : maxAge, former, revision };
}

const isTexts = (it: unknown): it is string[] =>
  Array.isArray(it) && it.every((text) => typeof text === "string");
const isCount = (it: unknown): it is number => typeof it === "number" && it >= 0;

function refuseOverlap({ subjects }: StreamSettings, other: StreamSettings): void {
  for (const subject of subjects) {
    const taken = other.subjects.find((it) => overlaps(it, subject));
    if (taken !== undefined) throw streamOverlap(subject, taken, other.name);
  }
}

function changedAgain(): PubSubError {
  return new PubSubError(
    "ERR_PUBSUB_UNAVAILABLE",
    "the streams changed again and again: try again",
  );
}
