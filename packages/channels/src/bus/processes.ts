import { randomBytes } from "node:crypto";
import type { Target } from "@lanai/clients";
import { after } from "@lanai/connection/deadline";
import type { Note } from "@lanai/connection/note-seal";
import type { Message, Subscription } from "@lanai/pubsub";
import { unavailable } from "../errors.ts";
import type { Notes } from "./notes.ts";

export interface ProcessesOptions {
  /** The name of this process. */
  readonly node: string;
  readonly notes: Notes;
  readonly scope: string;
  /** The heartbeat of a process, in milliseconds; after three intervals of silence it is lost. */
  readonly interval: number;
  /** The longest that `remove` waits for the others, in milliseconds. */
  readonly removeTimeout: number;
  /** Takes a target out of a channel here. Resolves when nothing more can arrive. */
  readonly onRemove: (target: Target, key: string) => Promise<void>;
  readonly onLost: (node: string) => void;
  /** Something that others said may have been missed. */
  readonly onMissed: () => void;
  /** After a lapse this process may deliver again, once what this does has settled. */
  readonly onRecovered: () => Promise<void>;
  /** Takes what a page has posted to another process. Returns the status of the response. */
  readonly onPosted: (note: Readonly<Record<string, unknown>>) => number;
}

interface Removal {
  /** The processes that have not confirmed; `undefined` until the note itself was heard. */
  missing: Set<string> | undefined;
  readonly done: PromiseWithResolvers<void>;
}

/** Notes that are retained: for how long, in milliseconds, and how many. */
const RETAINED = 60_000;
const MOST = 20_000;
/** Before a lapsed process announces itself again, in milliseconds. */
const RETRY = 250;

/**
 * The processes that share the channels. Each announces itself on a retained subject, on which removals
 * travel too: a process that was cut off reads what it has missed before it delivers anything again.
 *
 * A process whose own announcements don't come back has lapsed, and delivers nothing: the others count
 * it as lost later than that. So a removal that doesn't wait for a lost process holds there too.
 */
export class Processes {
  readonly node: string;
  readonly #options: ProcessesOptions;
  /** The instant of the last note of each other process, by the clock of the bus. */
  readonly #nodes = new Map<string, number>();
  readonly #removals = new Map<string, Removal>();
  readonly #posts = new Map<string, (status: number) => void>();
  #subscriptions: Promise<Subscription[]> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When this process last heard itself, as an instant of `performance.now`. */
  #heardItself = -Infinity;
  #hello: PromiseWithResolvers<void> | undefined;
  #recovery: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.node = options.node;
  }

  /** The number of other processes. */
  get others(): number {
    return this.#nodes.size;
  }

  // ── being there ──

  /**
   * Resolves when this process is known to the others, and they to it.
   *
   * @throws what the bus rejects with; the next call tries again.
   */
  async open(): Promise<void> {
    this.#subscriptions ??= this.#open().catch((error: unknown) => {
      this.#subscriptions = undefined;
      throw error;
    });
    await this.#subscriptions;
  }

  async #open(): Promise<Subscription[]> {
    const { notes, scope, interval, onMissed } = this.#options;
    await notes.ensureStream({
      ...{ name: `${scope}-notes`, subjects: [`${scope}.notes`] },
      ...{ maxMsgs: MOST, maxAge: RETAINED },
    });
    this.#hello = Promise.withResolvers();
    const subscriptions = await Promise.all([
      notes.subscribe(`${scope}.notes`, (note, { time }) => this.#receive(note, time), {
        ...{ replay: MOST, onGap: onMissed },
      }),
      notes.subscribe(`${scope}.to.${this.node}`, (note) => this.#receiveOwn(note)),
    ]);
    for (const { closed } of subscriptions) {
      void closed.then(() => {
        if (this.#isClosed) return;
        this.#subscriptions = undefined;
        void Promise.allSettled(subscriptions.map((it) => it.unsubscribe()));
        onMissed();
      });
    }
    await this.#tell("beat");
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = after(Math.max(5_000, interval), () =>
      reject(unavailable("the bus takes notes and delivers none")),
    );
    try {
      await Promise.race([this.#hello.promise, late]);
    } catch (error) {
      await Promise.allSettled(subscriptions.map((it) => it.unsubscribe()));
      throw error;
    } finally {
      cancel();
    }
    this.#schedule(interval);
    return subscriptions;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#schedule(this.isCurrent ? this.#options.interval : RETRY);
      this.open().then(
        () => this.#tell("beat").catch(() => {}),
        () => {},
      );
    }, ms).unref();
  }

  /** Whether what others have said was heard until a moment ago. */
  get isCurrent(): boolean {
    return performance.now() - this.#heardItself < 2 * this.#options.interval;
  }

  /** Resolves when this process may deliver; `undefined`: it may now. */
  permission(): Promise<void> | undefined {
    if (this.isCurrent && this.#recovery === undefined) return undefined;
    this.#recovery ??= this.#recover();
    return this.#recovery;
  }

  async #recover(): Promise<void> {
    this.#schedule(0);
    do {
      this.#hello = Promise.withResolvers();
      await this.#hello.promise;
      await this.#options.onRecovered().catch(() => {});
    } while (!this.isCurrent && !this.#isClosed);
    this.#recovery = undefined;
  }

  #lose(node: string): void {
    if (!this.#nodes.delete(node)) return;
    for (const [id] of this.#removals) this.#confirmed(id, node);
    this.#options.onLost(node);
  }

  // ── notes ──

  #tell(word: string, rest: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const { notes, scope } = this.#options;
    return notes.publish(`${scope}.notes`, { word, ...rest });
  }

  async #tellNode(node: string, rest: Readonly<Record<string, unknown>>): Promise<void> {
    if (!/^[\w-]{1,32}$/.test(node)) return;
    const { notes, scope } = this.#options;
    await notes.publish(`${scope}.to.${node}`, rest).catch(() => {});
  }

  #receive({ node, word, id, target, key }: Note, time: Message["time"]): void {
    if (node === this.node) {
      if (word === "remove") this.#await(String(id));
      if (word === "beat") this.#hear(time);
      return;
    }
    if (word === "bye") {
      this.#lose(node);
      return;
    }
    this.#nodes.set(node, time);
    if (word === "remove" && typeof key === "string" && isTarget(target)) {
      void this.#options
        .onRemove(target, key)
        .then(() => this.#tellNode(node, { word: "removed", id }))
        .catch(() => {});
    }
  }

  /**
   * A note of this process has come back, and before it everything that others have said by then. So
   * only now a silence counts: a process that was cut off or stood still loses nobody.
   */
  #hear(now: number): void {
    const oldest = now - 3 * this.#options.interval;
    for (const [node, time] of this.#nodes) if (time < oldest) this.#lose(node);
    this.#heardItself = performance.now();
    this.#hello?.resolve();
  }

  #receiveOwn(note: Note): void {
    const { node, word, id, status } = note;
    if (word === "removed") this.#confirmed(String(id), node);
    if (word === "posted") this.#posts.get(String(id))?.(Number(status));
    if (word === "post") {
      void this.#tellNode(node, { word: "posted", id, status: this.#options.onPosted(note) });
    }
  }

  // ── removing ──

  /** The note has come back: who was there before it has to confirm, who comes later asks anew. */
  #await(id: string): void {
    const removal = this.#removals.get(id);
    if (removal === undefined || removal.missing !== undefined) return;
    removal.missing = new Set(this.#nodes.keys());
    if (removal.missing.size === 0) removal.done.resolve();
  }

  #confirmed(id: string, node: string): void {
    const removal = this.#removals.get(id);
    if (removal?.missing?.delete(node) && removal.missing.size === 0) removal.done.resolve();
  }

  /**
   * Has every process remove a target from a channel, and waits until they have.
   *
   * @throws ChannelsError `ERR_CHANNELS_UNAVAILABLE` if one hasn't confirmed in time.
   */
  async remove(target: Target, key: string): Promise<void> {
    const { onRemove, removeTimeout } = this.#options;
    const here = onRemove(target, key);
    const id = randomBytes(12).toString("base64url");
    const done = Promise.withResolvers<void>();
    this.#removals.set(id, { missing: undefined, done });
    const late = Promise.withResolvers<never>();
    const cancel = after(removeTimeout, () =>
      late.reject(unavailable("remove: not every process has confirmed: call it again")),
    );
    try {
      const there = this.open()
        .then(() => this.#tell("remove", { id, target, key }))
        .catch((cause: unknown) => {
          throw unavailable(
            "remove: the bus is unreachable, so it holds in this process only: call it again",
            cause,
          );
        })
        .then(() => done.promise);
      await Promise.race([Promise.all([here, there]), late.promise]);
    } finally {
      cancel();
      this.#removals.delete(id);
    }
  }

  // ── posts ──

  /** Hands what a page has posted to the process that holds its event stream. Returns a status. */
  async post(node: string, note: Readonly<Record<string, unknown>>): Promise<number> {
    if (node === this.node) return this.#options.onPosted(note);
    await this.open();
    const id = randomBytes(12).toString("base64url");
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#posts.set(id, resolve);
    const cancel = after(this.#options.removeTimeout, () => resolve(503));
    try {
      if (!this.#nodes.has(node)) return 410;
      await this.#tellNode(node, { ...note, word: "post", id });
      return await promise;
    } finally {
      cancel();
      this.#posts.delete(id);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#subscriptions === undefined) return;
    await this.#tell("bye").catch(() => {});
    const subscriptions = await this.#subscriptions.catch(() => []);
    await Promise.allSettled(subscriptions.map((it) => it.unsubscribe()));
    this.#hello?.resolve();
  }
}

function isTarget(value: unknown): value is Target {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  const [[name, id] = []] = entries;
  const isName = name !== undefined && ["listener", "session", "client", "user"].includes(name);
  return entries.length === 1 && isName && typeof id === "string" && id.length <= 256;
}
