import { randomBytes } from "node:crypto";
import { PubSubError } from "@lanai/pubsub";
import { overlaps, type StreamSettings, SubjectIndex, streamOverlap } from "@lanai/pubsub/backend";
import { type RedisClient, run, within } from "./client.ts";
import type { Names } from "./names.ts";
import { CHANGE_STREAMS, STREAMS } from "./scripts.ts";

/** Others may change the list while we do. */
const ATTEMPTS = 16;

/** Which streams there are: the list in Redis, and what is known of it here. */
export class StreamList {
  readonly #redis: RedisClient;
  readonly #names: Names;
  readonly #timeout: number;
  readonly #onNew: (settings: StreamSettings) => void;
  readonly #known = new Map<string, StreamSettings>();
  readonly #bySubject = new SubjectIndex<StreamSettings>();
  #loading: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  /** Of the list; `undefined` until it was read. */
  version: string | undefined;

  constructor(
    redis: RedisClient,
    names: Names,
    timeout: number,
    onNew: (settings: StreamSettings) => void,
  ) {
    this.#redis = redis;
    this.#names = names;
    this.#timeout = timeout;
    this.#onNew = onNew;
  }

  all(): Iterable<StreamSettings> {
    return this.#known.values();
  }

  get(name: string): StreamSettings | undefined {
    return this.#known.get(name);
  }

  /** The stream that retains a literal subject, as far as is known. */
  retaining(subject: string): StreamSettings | undefined {
    return this.#bySubject.match(subject)[0];
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
      const lost = [...this.#known.values()].filter(({ name }) => !streams.has(name));
      const current = lost.length === 0 ? version : await this.#change(version, lost);
      if (current !== undefined) return this.#learn(current, streams.values());
    }
    throw changedAgain();
  }

  /** Adds a stream, or changes one; one after the other, so as not to be in our own way. */
  ensure(settings: StreamSettings): Promise<void> {
    const ensured = this.#last.then(() => this.#ensure(settings));
    this.#last = ensured.catch(() => {});
    return ensured;
  }

  async #ensure(settings: StreamSettings): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { version, streams } = await this.#read();
      this.#learn(version, streams.values());
      for (const other of streams.values()) {
        if (other.name !== settings.name) refuseOverlap(settings, other);
      }
      const known = streams.get(settings.name);
      if (known && textOf(known) === textOf(settings)) return;
      const next = await this.#change(version, [settings]);
      if (next !== undefined) return this.#learn(next, [settings]);
    }
    throw changedAgain();
  }

  async #read(): Promise<{ version: string; streams: Map<string, StreamSettings> }> {
    const reply = await within(this.#timeout, run(this.#redis, STREAMS, [this.#names.streams], []));
    const fields = (reply as Buffer[]).map(String);
    const streams = new Map<string, StreamSettings>();
    let version = "";
    for (let n = 0; n < fields.length; n += 2) {
      const [field = "", text = ""] = fields.slice(n, n + 2);
      if (field === "version") version = text;
      else streams.set(field.slice(1), settingsOf(field.slice(1), text));
    }
    return { version, streams };
  }

  /** Answers the new version, if the list was still the one of `version`. */
  async #change(version: string, streams: readonly StreamSettings[]): Promise<string | undefined> {
    const next = randomBytes(9).toString("base64url");
    const args = [version, next, this.#names.streamsChannel];
    for (const settings of streams) args.push(`=${settings.name}`, textOf(settings));
    const change = run(this.#redis, CHANGE_STREAMS, [this.#names.streams], args);
    return (await within(this.#timeout, change)) === null ? next : undefined;
  }

  #learn(version: string, streams: Iterable<StreamSettings>): void {
    for (const settings of streams) {
      const known = this.#known.get(settings.name);
      if (known && textOf(known) === textOf(settings)) continue;
      if (known) for (const subject of known.subjects) this.#bySubject.delete(subject, known);
      this.#known.set(settings.name, settings);
      for (const subject of settings.subjects) this.#bySubject.add(subject, settings);
      this.#onNew(settings);
    }
    this.version = version;
  }
}

const textOf = ({ subjects, maxMsgs, maxAge }: StreamSettings): string =>
  // JSON has no Infinity.
  JSON.stringify({ subjects, maxMsgs, maxAge: maxAge === Infinity ? 0 : maxAge });

const settingsOf = (name: string, text: string): StreamSettings => {
  const { subjects, maxMsgs, maxAge } = JSON.parse(text) as Omit<StreamSettings, "name">;
  return { name, subjects, maxMsgs, maxAge: maxAge === 0 ? Infinity : maxAge };
};

const refuseOverlap = ({ subjects }: StreamSettings, other: StreamSettings): void => {
  for (const subject of subjects) {
    const taken = other.subjects.find((it) => overlaps(it, subject));
    if (taken !== undefined) throw streamOverlap(subject, taken, other.name);
  }
};

const changedAgain = () =>
  new PubSubError("ERR_PUBSUB_UNAVAILABLE", "the streams changed again and again: try again");
