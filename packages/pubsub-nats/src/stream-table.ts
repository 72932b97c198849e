import { covers, emitEvent, type StreamSettings } from "@lanai/pubsub/backend";
import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import { isJetStreamMissing, isUnavailable, unavailable } from "./errors.ts";
import type { Link } from "./link.ts";

/** A stream of JetStream, whoever made it. */
export interface KnownStream {
  readonly name: string;
  /** As the server has them, with the prefix. */
  readonly subjects: readonly string[];
  /** Changes when the stream is lost and made again: from when it was made. */
  readonly epoch: string;
  /** In milliseconds; `Infinity` for ever. */
  readonly maxAge: number;
}

/** Subjects whose stream is remembered at most. */
const MEMORY = 10_000;

/**
 * Which streams there are under the prefix. Read from the server once; its advisories tell when that
 * has changed.
 */
export class StreamTable {
  readonly #link: Link;
  readonly #manager: Promise<JetStreamManager>;
  readonly #filter: string;
  #streams: readonly KnownStream[] = [];
  #found = new Map<string, KnownStream | undefined>();
  #loading: Promise<void> | undefined;
  /** Counts what may have changed the streams. */
  #changes = 1;
  #loadedAt = 0;
  #missing: unknown;
  #hasAnswered = false;
  /** Those that this process has made. */
  readonly #kept = new Map<string, StreamSettings>();
  readonly #make: (settings: StreamSettings) => Promise<void>;

  /** `make` makes a stream again that this process has made, and the server has lost. */
  constructor(
    link: Link,
    manager: Promise<JetStreamManager>,
    prefix: string,
    make: (settings: StreamSettings) => Promise<void>,
  ) {
    this.#link = link;
    this.#manager = manager;
    this.#filter = `${prefix}.>`;
    this.#make = make;
  }

  /** This process has made a stream, and counts on it. */
  keep(settings: StreamSettings): void {
    this.#kept.set(settings.name, settings);
  }

  /** Why there are no streams at all: the server's answer. */
  get missing(): unknown {
    return this.#missing;
  }

  /** Whether what is known is as new as can be; else {@link StreamTable.load}. */
  get isFresh(): boolean {
    return this.#loadedAt === this.#changes;
  }

  /** Something has changed, or may have. */
  expire(): void {
    this.#changes += 1;
  }

  /** @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`. */
  async load(): Promise<void> {
    while (!this.isFresh) {
      this.#loading ??= this.#read().finally(() => {
        this.#loading = undefined;
      });
      await this.#loading;
    }
  }

  /** The stream that retains all that a subject or pattern of the wire matches. */
  find(subject: string): KnownStream | undefined {
    if (this.#streams.length === 0) return undefined;
    const known = this.#found.get(subject);
    if (known || this.#found.has(subject)) return known;
    if (this.#found.size >= MEMORY) this.#found.clear();
    const stream = this.#streams.find((it) => it.subjects.some((wide) => covers(wide, subject)));
    this.#found.set(subject, stream);
    return stream;
  }

  has(name: string): boolean {
    return this.#streams.some((stream) => stream.name === name);
  }

  async #read(): Promise<void> {
    const at = this.#changes;
    const infos: StreamInfo[] = [];
    let missing: unknown;
    try {
      const pages = (await this.#manager).streams.list(this.#filter);
      for (;;) {
        const page = await this.#link.call(() => pages.next());
        if (page.length === 0) break;
        infos.push(...page);
      }
    } catch (error) {
      // A server that is starting, or a cluster without a leader, answers like one without JetStream.
      if (this.#hasAnswered || !isJetStreamMissing(error)) {
        throw unavailable("JetStream could not be asked which streams there are", error);
      }
      missing = error;
    }
    this.#hasAnswered ||= missing === undefined;
    for (const settings of this.#kept.values()) {
      if (!infos.some(({ config }) => config.name === settings.name)) await this.#remake(settings);
    }
    const streams = infos.filter(retains).map(known);
    this.#streams = streams;
    this.#missing = missing;
    this.#found = new Map();
    this.#loadedAt = at;
  }

  async #remake(settings: StreamSettings): Promise<void> {
    try {
      await this.#make(settings);
    } catch (error) {
      if (isUnavailable(error)) throw error;
      // Somebody else's now: no reason to refuse what concerns other subjects.
      this.#kept.delete(settings.name);
      emitEvent("error", { level: "error", subject: settings.name, error });
    }
  }
}

/** Whether it keeps what it is sent, answers a publish, and keeps the subject as it is. */
const retains = ({ config }: StreamInfo): boolean =>
  config.retention === "limits" &&
  !config.no_ack &&
  !("subject_transform" in config && config.subject_transform);

export const known = (info: StreamInfo): KnownStream => ({
  name: info.config.name,
  subjects: info.config.subjects,
  epoch: epochOf(info.created),
  maxAge: info.config.max_age ? info.config.max_age / 1e6 : Infinity,
});

/** The nanosecond in which it was made, short enough for a cursor. */
const epochOf = (created: string): string => {
  const [, fraction = ""] = /\.(\d+)/.exec(created) ?? [];
  const seconds = BigInt(Math.floor(Date.parse(created) / 1000));
  return (seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))).toString(36);
};
