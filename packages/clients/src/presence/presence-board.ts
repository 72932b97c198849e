import { after, repeat } from "@lanai/connection/deadline";
import type { Note } from "@lanai/connection/note-seal";
import { events } from "../events.ts";
import type { TargetKey } from "../target.ts";
import { Directory } from "./directory.ts";
import { dropOldest, LostProcesses } from "./lost-processes.ts";
import { type Peer, Peers } from "./peers.ts";
import type { Presence, PresenceBus, PresenceEvents, PresentListener, Timers } from "./types.ts";
import { Vacancies } from "./vacancies.ts";

export interface PresenceOptions {
  readonly bus: PresenceBus;
  readonly subject: string;
  /** The interval of heartbeats, in milliseconds; after three intervals of silence a process is lost. */
  readonly interval: number;
  /** The wait for a reconnect, in milliseconds, before `empty` is emitted. */
  readonly leaveGrace: number;
  /** Default: those of the process. */
  readonly timers?: Timers;
}

type Handler<K extends keyof PresenceEvents> = (event: PresenceEvents[K]) => unknown;

/** The most listeners in one note. */
const BATCH = 200;
/** The number of checks in an interval. */
const CHECKS = 5;
/**
 * The patience of a process before it acts for all, in heartbeat intervals: of the first in rank, and what
 * each one before adds, so that one process acts and the others see it.
 */
const PATIENCE = [3, 0.5] as const;
/** The longest public id or name of a user, in UTF-16 code units, that is accepted from the bus. */
const LONGEST = 256;

const REAL: Timers = {
  now: () => performance.now(),
  after: (ms, fn) => after(ms, fn, { unref: true }),
  every: (ms, fn) => repeat(ms, () => fn(), { unref: true }),
};

/**
 * The listeners of all processes. Each process sends the others a note when one of its listeners joins
 * or leaves. The notes are numbered: if one was missed, everything is sent again. Each process also sends
 * a heartbeat. Folding the events of all processes together gives what `of` returns (law C8).
 */
export class PresenceBoard {
  readonly #options: PresenceOptions;
  readonly #timers: Timers;
  readonly #here = new Map<string, PresentListener>();
  readonly #peers: Peers;
  readonly #directory = new Directory();
  readonly #lost: LostProcesses;
  readonly #vacancies: Vacancies;
  readonly #handlers: { readonly [K in keyof PresenceEvents]: Set<Handler<K>> } = {
    join: new Set(),
    leave: new Set(),
    empty: new Set(),
  };
  /** The number of the last change that was sent to the others. */
  #seq = 0;
  #joined: PresentListener[] = [];
  #left: string[] = [];
  #isTelling = false;
  /** The time at which a note of this process last came back over the bus. */
  #echoedAt: number;
  /** Announcements of the loss of this process that it has corrected. */
  readonly #corrected = new Set<string>();
  #stop: (() => void) | undefined;

  constructor(options: PresenceOptions) {
    const { bus, interval, leaveGrace, timers = REAL } = options;
    const [least, each] = PATIENCE;
    const patience = () => (least + each * this.#peers.rank) * interval;
    this.#options = options;
    this.#timers = timers;
    this.#echoedAt = timers.now();
    this.#peers = new Peers(bus.node);
    this.#lost = new LostProcesses({
      ...{ peers: this.#peers, timers, patience },
      leave: (listener) => this.#emit("leave", listener),
      remove: (listener, node) => this.#remove(listener, node),
      announce: (of, id, known) => this.#say({ word: "lost", of, id, known }),
    });
    this.#vacancies = new Vacancies({
      ...{ self: bus.node, peers: this.#peers, timers, patience },
      ...{ grace: leaveGrace, step: interval / CHECKS },
      act: (key, event) => {
        this.#say({ word: "empty", key, id: event.id });
        this.#emit("empty", event);
      },
    });
  }

  async open(): Promise<void> {
    const { bus, subject, interval } = this.#options;
    if (bus.isAlone) return;
    let checks = 0;
    this.#stop = this.#timers.every(interval / CHECKS, () => {
      checks += 1;
      if (checks % CHECKS === 0) this.#say({ word: "beat" });
      this.#loseSilent();
    });
    await bus.retain(subject, (note) => this.#receive(note));
    this.#say({ word: "hello" });
  }

  on<K extends keyof PresenceEvents>(name: K, handler: Handler<K>): () => void {
    const handlers = this.#handlers[name] as Set<Handler<K>> | undefined;
    if (handlers === undefined) {
      throw new TypeError(`on(name, handler): the names are join, leave and empty, got "${name}"`);
    }
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  /** A listener of this process joined; one that is there already belongs to others now. */
  join(listener: PresentListener): void {
    this.#put(this.#here, listener, this.#node);
    if (!this.#options.bus.isAlone) this.#joined.push(listener);
    this.#tellSoon();
    this.#emit("join", listener);
  }

  leave(id: string): void {
    const listener = this.#here.get(id);
    if (listener === undefined) return;
    this.#here.delete(id);
    if (!this.#options.bus.isAlone) this.#left.push(id);
    this.#tellSoon();
    this.#emit("leave", listener);
    this.#remove(listener, this.#node);
  }

  of(key: TargetKey): Presence {
    const { isAlone, isUp } = this.#options.bus;
    return { ...this.#directory.count(key), exact: isAlone || isUp };
  }

  /** The numbers of what is kept, of all processes. */
  get size(): { readonly listeners: number; readonly keys: number; readonly nodes: number } {
    return {
      listeners: this.#here.size + this.#peers.listeners,
      keys: this.#directory.size + this.#vacancies.size,
      nodes: this.#peers.size,
    };
  }

  /** Notes may have been missed on both sides. */
  resync(): void {
    this.#say({ word: "hello" });
  }

  /** A note of this process has come back: it receives what the others say too. */
  echoed(): void {
    const now = this.#timers.now();
    // The others may have spoken while this process stood still or was cut off.
    if (this.#isDeaf(now)) this.#peers.allSeen(now);
    this.#echoedAt = now;
  }

  #isDeaf(now: number): boolean {
    return now - this.#echoedAt > 2 * this.#options.interval;
  }

  close(): void {
    this.#stop?.();
    this.#tell();
    this.#say({ word: "bye" });
    this.#lost.close();
    this.#vacancies.close();
  }

  get #node(): string {
    return this.#options.bus.node;
  }

  // ── what this process says ──

  #say(note: Readonly<Record<string, unknown>>): void {
    const { bus, subject } = this.#options;
    void bus.publish(subject, { ...note, seq: this.#seq });
  }

  #tellSoon(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => this.#tell());
  }

  #tell(): void {
    this.#isTelling = false;
    while (this.#joined.length > 0 || this.#left.length > 0) {
      this.#seq++;
      // A listener that came and went is in both; it is gone after this.
      const joined = this.#joined.splice(0, BATCH);
      const left = this.#joined.length > 0 ? [] : this.#left.splice(0, BATCH);
      this.#say({ word: "change", joined, left });
    }
  }

  #tellAll(): void {
    this.#tell();
    const all = [...this.#here.values()];
    for (let i = 0; i === 0 || i < all.length; i += BATCH) {
      this.#say({
        word: "all",
        listeners: all.slice(i, i + BATCH),
        first: i === 0,
        last: i + BATCH >= all.length,
      });
    }
  }

  /** Others took this process for lost and have emitted `leave` for its listeners, which are here. */
  #correct(id: string): void {
    if (!this.#corrected.has(id)) {
      this.#corrected.add(id);
      dropOldest(this.#corrected);
      for (const listener of [...this.#here.values()]) this.#emit("join", listener);
    }
    this.#say({ word: "back", id });
  }

  #loseSilent(): void {
    const now = this.#timers.now();
    // A process that doesn't receive its own notes can't tell that others are silent.
    if (this.#isDeaf(now)) return;
    // Three intervals, less one check: the next one would be later than the options say.
    const lost = now - (3 - 1 / CHECKS) * this.#options.interval;
    const silent = this.#peers.silentSince(lost);
    for (const node of silent) this.#lose(node);
    if (silent.length > 0) this.#ranked();
  }

  /** This process may be the first of the live ones now. */
  #ranked(): void {
    this.#lost.ranked();
    this.#vacancies.ranked();
  }

  #lose(node: string): void {
    const peer = this.#peers.delete(node);
    if (peer === undefined) return;
    this.#lost.lose(node, peer.listeners, peer.seq);
  }

  // ── what the others say ──

  #receive({ node, word, seq, of, id, key, ...note }: Note): void {
    if (word === "lost") {
      const { known } = note;
      if (typeof of !== "string" || typeof id !== "string" || typeof known !== "number") return;
      if (of === this.#node) this.#correct(id);
      else this.#lost.announced(of, id, known);
    } else if (word === "empty") {
      if (isKey(key)) this.#vacancies.emitted(key, String(id));
    } else if (word === "ask") {
      if (of === this.#node) this.#tellAll();
    } else if (word === "bye") {
      this.#sayGoodbye(node);
    } else if (typeof seq === "number") {
      const peer = this.#peers.seen(node, this.#timers.now());
      if (word === "back") this.#lost.corrected(node, String(id));
      const isRegular = word === "hello" || word === "beat";
      for (const it of this.#lost.found(node, isRegular)?.values() ?? []) {
        peer.listeners.set(it.id, it);
      }
      if (word === "hello") this.#tellAll();
      this.#learn(node, peer, { word, seq, ...note });
    }
  }

  /** It has emitted `leave` for its listeners by itself. */
  #sayGoodbye(node: string): void {
    const peer = this.#peers.delete(node);
    this.#lost.forget(node);
    for (const listener of peer?.listeners.values() ?? []) this.#remove(listener, node);
    this.#ranked();
  }

  #learn(node: string, peer: Peer, note: Readonly<Record<string, unknown>>): void {
    const { word, seq } = note as { word: unknown; seq: number };
    if (word === "all") {
      this.#takeAll(node, peer, note, seq);
    } else if (word === "change" && seq === peer.seq + 1) {
      peer.seq = seq;
      for (const it of listenersOf(note.joined)) this.#put(peer.listeners, it, node);
      for (const left of Array.isArray(note.left) ? note.left : []) this.#drop(node, peer, left);
    } else if (seq !== peer.seq) {
      this.#say({ word: "ask", of: node });
    }
  }

  #takeAll(node: string, peer: Peer, note: Readonly<Record<string, unknown>>, seq: number): void {
    if (note.first === true) peer.parts = [];
    // Its beginning was missed: it will be asked for again.
    if (peer.parts === undefined) return;
    peer.parts.push(...listenersOf(note.listeners));
    if (note.last !== true) return;
    const now = new Map(peer.parts.map((it) => [it.id, it]));
    peer.parts = undefined;
    peer.seq = seq;
    for (const it of now.values()) this.#put(peer.listeners, it, node);
    for (const old of [...peer.listeners.keys()]) if (!now.has(old)) this.#drop(node, peer, old);
  }

  #put(listeners: Map<string, PresentListener>, listener: PresentListener, node: string): void {
    const before = listeners.get(listener.id);
    listeners.set(listener.id, listener);
    // The new targets first: one that it keeps is never empty.
    for (const key of this.#directory.add(listener)) this.#vacancies.end(key);
    if (before && before !== listener) this.#remove(before, node);
  }

  #drop(node: string, peer: Peer, id: string): void {
    const listener = peer.listeners.get(id);
    peer.listeners.delete(id);
    if (listener) this.#remove(listener, node);
  }

  #remove(listener: PresentListener, node: string): void {
    this.#vacancies.begin(this.#directory.delete(listener), listener.id, node);
  }

  #emit<K extends keyof PresenceEvents>(name: K, event: PresenceEvents[K]): void {
    for (const handler of this.#handlers[name] as Set<Handler<K>>) void this.#run(handler, event);
  }

  async #run<E>(handler: (event: E) => unknown, event: E): Promise<void> {
    try {
      await handler(event);
    } catch (error) {
      events.emit("error", { level: "error", error });
    }
  }
}

const isKey = (value: unknown): value is TargetKey =>
  typeof value === "string" && /^(?:client|session|user):/.test(value);

const isName = (value: unknown): boolean => typeof value === "string" && value.length <= LONGEST;

/** Returns the well-formed listeners of a note. */
function listenersOf(value: unknown): PresentListener[] {
  if (!Array.isArray(value)) return [];
  const listeners: PresentListener[] = [];
  for (const it of value) {
    const { id, client, session, user } = (it ?? {}) as Record<string, unknown>;
    const optional = [client, session, user];
    if (!isName(id) || !optional.every((name) => name === undefined || isName(name))) continue;
    listeners.push({ id, client, session, user } as PresentListener);
  }
  return listeners;
}
