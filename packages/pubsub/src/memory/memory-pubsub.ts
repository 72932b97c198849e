import { randomBytes } from "node:crypto";
import { checkOptions, func, type Rules } from "@lanai/connection/options";
import { ConcurrentEnsures } from "../calls/concurrent-ensures.ts";
import { validatePublish } from "../calls/payload.ts";
import {
  type StreamSettings,
  streamOf,
  streamSettings,
  validateHistory,
} from "../calls/stream-settings.ts";
import { closedError, cursorLost, notRetained, streamOverlap } from "../errors.ts";
import { emitEvent } from "../events.ts";
import type { Message, PubSub } from "../pubsub.ts";
import type { Streams } from "../streams.ts";
import { overlaps } from "../subjects/subject.ts";
import { SubjectIndex } from "../subjects/subject-index.ts";
import { Inbox, pushAll } from "../subscription/inbox.ts";
import { MemoryStream } from "./memory-stream.ts";

/** Options of `memoryPubSub`. */
export interface MemoryPubSubOptions {
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

/**
 * Pub/sub inside this process: nothing to start, nothing to connect. What streams retain is lost
 * when the process ends.
 *
 * Handlers are called within `publish`, before it resolves, as long as they keep up.
 */
export function memoryPubSub(options: MemoryPubSubOptions = {}): PubSub & Streams {
  checkOptions("memoryPubSub", options, OPTIONS);
  return new MemoryPubSub(options.clock ?? Date.now);
}

const OPTIONS: Rules<MemoryPubSubOptions> = { clock: func };

const DONE = Promise.resolve();

class MemoryPubSub implements PubSub, Streams {
  readonly #clock: () => number;
  readonly #inboxes = new SubjectIndex<Inbox>();
  /** The same ones, to end them all. */
  readonly #open = new Set<Inbox>();
  readonly #streams = new Map<string, MemoryStream>();
  readonly #ensuring = new ConcurrentEnsures();
  readonly #retained = new SubjectIndex<MemoryStream>();
  #closed = false;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  publish: PubSub["publish"] = (subject, data, options) => {
    try {
      this.#mustBeOpen();
      validatePublish(subject, data, options);
      const [stream] = this.#retained.match(subject);
      const time = this.#clock();
      // Copied: the caller may use the array again.
      const kept = typeof data === "string" ? data : new Uint8Array(data);
      if (stream) {
        const stored = stream.append(subject, kept, time, options?.messageId);
        if (stored) pushAll(this.#inboxes.match(subject), stored, stream.name, stream.last);
      } else {
        const message: Message = { id: undefined, subject, data: kept, time, replayed: false };
        pushAll(this.#inboxes.match(subject), message);
      }
      return DONE;
    } catch (error) {
      return Promise.reject(error);
    }
  };

  subscribe: PubSub["subscribe"] = async (subject, handler, options = {}) => {
    this.#mustBeOpen();
    const { since, replay = 0 } = options;
    const leave = () => {
      this.#open.delete(inbox);
      this.#inboxes.delete(subject, inbox);
    };
    const inbox = new Inbox({ subject, handler, options, leave });
    if (inbox.status === "closed") return inbox;
    const stream = streamOf(this.#streams.values(), subject);
    if (!stream && (since || replay > 0)) {
      void inbox.unsubscribe();
      throw notRetained(subject);
    }
    if (stream) {
      const past = stream.read(subject, this.#clock(), since || undefined, replay);
      if (since) inbox.recovered = past.recovered;
      if (past.recovered === false) inbox.gap("cursor");
      inbox.cursor = past.cursor;
      for (const { message, position } of past.messages) {
        inbox.replay(message, stream.name, position);
      }
    }
    // In one tick with the read: nothing can come between.
    this.#open.add(inbox);
    this.#inboxes.add(subject, inbox);
    inbox.live();
    return inbox;
  };

  history: Streams["history"] = async (subject, limit, range = {}) => {
    this.#mustBeOpen();
    validateHistory(subject, limit, range);
    const { since } = range;
    const stream = streamOf(this.#streams.values(), subject);
    if (!stream) throw notRetained(subject);
    const past = stream.read(subject, this.#clock(), since, limit);
    if (past.recovered === false) throw cursorLost(subject);
    const messages = past.messages.map(({ message }) => message);
    return since === undefined ? messages : messages.slice(0, limit);
  };

  ensureStream: Streams["ensureStream"] = async (config) => {
    this.#mustBeOpen();
    const settings = streamSettings(config);
    await this.#ensuring.run(settings, async () => this.#ensure(settings));
  };

  #ensure(settings: StreamSettings): void {
    this.#refuseOverlap(settings);
    const stream = this.#streams.get(settings.name);
    if (stream) {
      for (const subject of stream.subjects) this.#retained.delete(subject, stream);
      stream.configure(settings, this.#clock());
    }
    const kept = stream ?? new MemoryStream(settings, randomBytes(9).toString("base64url"));
    this.#streams.set(settings.name, kept);
    for (const subject of kept.subjects) this.#retained.add(subject, kept);
    emitEvent("stream", { level: "info", subject: settings.name });
  }

  close: PubSub["close"] = async () => {
    this.#closed = true;
    await Promise.all([...this.#open].map((inbox) => inbox.unsubscribe()));
    this.#streams.clear();
  };

  #refuseOverlap({ name, subjects }: StreamSettings): void {
    for (const stream of this.#streams.values()) {
      if (stream.name === name) continue;
      for (const subject of subjects) {
        const other = stream.subjects.find((it) => overlaps(it, subject));
        if (other === undefined) continue;
        throw streamOverlap(subject, other, stream.name);
      }
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closedError();
  }
}
