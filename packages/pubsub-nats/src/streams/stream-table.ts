import { ConcurrentEnsures, covers, emitEvent, type StreamSettings } from "@lanai/pubsub/backend";
import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { isJetStreamMissing, isUnavailable, unavailable } from "../errors.ts";
import { events } from "../events.ts";
import { UpdateLog } from "./update-log.ts";
import { wireOf } from "./wire.ts";

/** A stream of JetStream, whoever made it. */
export interface KnownStream {
  readonly name: string;
  /** As the server has them, with the prefix. */
  readonly subjects: readonly string[];
  /** The stream's time of creation. It changes if the stream is lost and made again. */
  readonly epoch: string;
  /** In milliseconds; `Infinity` if messages do not expire. */
  readonly maxAge: number;
  /** The time during which the server recognises a message's id, in milliseconds. */
  readonly duplicateWindow: number;
}

export interface StreamTableParts {
  readonly nats: MonitoredConnection;
  readonly manager: Promise<JetStreamManager>;
  readonly prefix: string;
  /** Makes a stream again that this process has made and the server has lost. */
  readonly make: (settings: StreamSettings) => Promise<void>;
  /**
   * Called after the streams have changed, or may have. `flapped` are those whose subjects may have
   * been others for a moment.
   */
  readonly onChange: (flapped: ReadonlySet<string>) => void;
}

/** Subjects whose stream is remembered, at most. */
const MAX_REMEMBERED = 10_000;

/**
 * The streams under the prefix, as the server last reported them. It is read again after whatever
 * may have changed them: an advisory of the server, a reconnect, an answer that doesn't fit.
 */
export class StreamTable {
  readonly #parts: StreamTableParts;
  readonly #updates = new UpdateLog();
  #streams: readonly KnownStream[] = [];
  /** The stream of each subject that was asked for lately. */
  #found = new Map<string, KnownStream | undefined>();
  #reading: Promise<void> | undefined;
  /** Counts what may have changed the streams. */
  #changes = 1;
  #readAt = 0;
  #missing: unknown;
  #hasAnswered = false;
  /** The streams that this process has made. */
  readonly #own = new Map<string, StreamSettings>();
  /** Those that it is making now. */
  readonly #ensuring = new Set<string>();
  readonly #calls = new ConcurrentEnsures();

  constructor(parts: StreamTableParts) {
    this.#parts = parts;
  }

  /** Makes or changes a stream, which this process relies on from then on. */
  ensure(settings: StreamSettings): Promise<void> {
    return this.#calls.run(settings, () => this.#ensure(settings));
  }

  async #ensure(settings: StreamSettings): Promise<void> {
    const { name } = settings;
    this.#ensuring.add(name);
    try {
      await this.#parts.make(settings);
      this.#own.set(name, settings);
    } finally {
      this.#ensuring.delete(name);
      this.expire();
    }
    await this.load();
  }

  /** The server's error if there are no streams at all. */
  get missing(): unknown {
    return this.#missing;
  }

  /** Whether nothing is known to have changed since the last read; else call {@link load}. */
  get isFresh(): boolean {
    return this.#readAt === this.#changes;
  }

  /** The streams have changed, or may have. */
  expire(): void {
    this.#changes += 1;
  }

  /** An advisory of the server: a stream was made, changed or deleted. */
  advised(action: string, name: string): void {
    if (action === "UPDATED") this.#updates.add(name);
    this.expire();
  }

  /** @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`. */
  async load(): Promise<void> {
    while (!this.isFresh) await this.refresh();
  }

  /**
   * Reads the streams, without making anybody wait who relies on what is known.
   *
   * @throws PubSubError `ERR_PUBSUB_UNAVAILABLE`.
   */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** The stream that retains everything that a subject or pattern of the wire matches. */
  find(subject: string): KnownStream | undefined {
    if (this.#streams.length === 0) return undefined;
    const known = this.#found.get(subject);
    if (known || this.#found.has(subject)) return known;
    if (this.#found.size >= MAX_REMEMBERED) this.#found.clear();
    const stream = this.#streams.find((it) => it.subjects.some((wide) => covers(wide, subject)));
    this.#found.set(subject, stream);
    return stream;
  }

  get(name: string): KnownStream | undefined {
    return this.#streams.find((stream) => stream.name === name);
  }

  async #read(): Promise<void> {
    const { onChange } = this.#parts;
    const at = this.#changes;
    const infos = await this.#readAll();
    for (const settings of this.#own.values()) {
      const there = infos.find(({ config }) => config.name === settings.name);
      if (!there) await this.#remake(settings);
      else this.#compare(settings, there);
    }
    const before = new Map(this.#streams.map((stream) => [stream.name, stream]));
    const streams = infos.filter(retains).map(known);
    this.#streams = streams;
    this.#found = new Map();
    this.#readAt = at;
    const changed = streams.filter((stream) => !isSame(before.get(stream.name), stream));
    // Before the updates are cleared: a stream can flap and end with other subjects besides.
    const flapped = this.#updates.takeFlapped(new Set(streams.map(({ name }) => name)));
    for (const { name } of changed) this.#updates.clear(name);
    const isGone = before.size > streams.length - changed.length;
    if (changed.length > 0 || flapped.size > 0 || isGone) onChange(flapped);
  }

  /** Subject filters of the streams to ask for. Library streams only if this process uses any. */
  #filters(): string[] {
    const { prefix } = this.#parts;
    const hasReserved = [...this.#own.values()].some(({ subjects: [first = ""] }) =>
      first.startsWith("$"),
    );
    return hasReserved ? [`${prefix}.>`, `${prefix}$lanai.>`] : [`${prefix}.>`];
  }

  /** Requests the server's streams; none if it has no JetStream. */
  async #readAll(): Promise<StreamInfo[]> {
    const { nats, manager } = this.#parts;
    const infos: StreamInfo[] = [];
    try {
      for (const filter of this.#filters()) {
        const pages = (await manager).streams.list(filter);
        for (;;) {
          const page = await nats.call(() => pages.next());
          if (page.length === 0) break;
          infos.push(...page);
        }
      }
      this.#missing = undefined;
      this.#hasAnswered = true;
      return infos;
    } catch (error) {
      // A server that is starting, or a cluster without a leader, replies like one without JetStream.
      if (this.#hasAnswered || !isJetStreamMissing(error)) {
        throw unavailable("JetStream could not be asked which streams there are", error);
      }
      this.#missing = error;
      return [];
    }
  }

  /** Reports that another process has changed the subjects of a stream of this one. */
  #compare({ name, subjects }: StreamSettings, { config }: StreamInfo): void {
    if (this.#ensuring.has(name)) return;
    const { prefix } = this.#parts;
    const wanted = new Set(subjects.map((subject) => wireOf(prefix, subject)));
    const isEqual =
      wanted.size === config.subjects.length && config.subjects.every((it) => wanted.has(it));
    if (isEqual) return;
    const message =
      `another process has called ensureStream for ${name} with other subjects, which hold now: ` +
      `${config.subjects.join(", ")}. All processes have to ask for the same`;
    events.report("stream", `subjects of ${name}`, { level: "warn", subject: name, message });
  }

  async #remake(settings: StreamSettings): Promise<void> {
    try {
      await this.#parts.make(settings);
      this.expire();
    } catch (error) {
      if (isUnavailable(error)) throw error;
      // It is another app's now, which is no reason to refuse what concerns other subjects.
      this.#own.delete(settings.name);
      emitEvent("error", { level: "error", subject: settings.name, error });
    }
  }
}

/** Whether it keeps what it is sent, acknowledges a publish, and keeps the subject as it is. */
const retains = ({ config }: StreamInfo): boolean =>
  config.retention === "limits" &&
  !config.no_ack &&
  !("subject_transform" in config && config.subject_transform);

export const known = (info: StreamInfo): KnownStream => ({
  name: info.config.name,
  subjects: info.config.subjects,
  epoch: epochOf(info.created),
  maxAge: info.config.max_age ? info.config.max_age / 1e6 : Infinity,
  duplicateWindow: info.config.duplicate_window / 1e6,
});

const isSame = (a: KnownStream | undefined, b: KnownStream): boolean =>
  a?.epoch === b.epoch && a.subjects.join(" ") === b.subjects.join(" ");

/** The nanosecond in which the stream was made, short enough for a cursor. */
function epochOf(created: string): string {
  const [, fraction = ""] = /\.(\d+)/.exec(created) ?? [];
  const seconds = BigInt(Math.floor(Date.parse(created) / 1000));
  return (seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))).toString(36);
}
