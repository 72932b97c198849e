import { report } from "./events.ts";
import type { Note, Relay } from "./relay.ts";
import type { TargetKey } from "./target.ts";

/** A listener, as all processes know it. */
export interface PresentListener {
  readonly id: string;
  readonly client?: string | undefined;
  /** The public id of its session. */
  readonly session?: string | undefined;
  readonly user?: string | undefined;
}

export interface PresenceEvents {
  /** A listener came. Told by the process that has it. */
  join: PresentListener;
  /** A listener has gone. Told by the process that had it, or, if that has gone too, by another. */
  leave: PresentListener;
  /** The last listener of a client or a user has gone, and for a while none came back. */
  empty: Empty;
}

export type Empty = ({ readonly client: string } | { readonly user: string }) & {
  /** Names this one emptiness: it is told by one process, but it may be told twice. */
  readonly id: string;
};

/** Who is there, of one target. */
export interface Presence {
  readonly listeners: number;
  /** Different sessions. */
  readonly sessions: number;
  /** Different browsers. */
  readonly clients: number;
  /** Whether all processes are known: `false` while the bus is away. */
  readonly exact: boolean;
}

export interface PresenceOptions {
  readonly relay: Relay;
  readonly subject: string;
  /** How often a process says that it lives, in milliseconds; after three times that it is lost. */
  readonly interval: number;
  /** For how long nobody must have come back, in milliseconds, until `empty` is told. */
  readonly leaveGrace: number;
}

/** Another process: what it has, and whether it has been heard of. */
interface Node {
  /** Of its last change that is known here; behind, all is asked for again. */
  seq: number;
  seenAt: number;
  readonly listeners: Map<string, PresentListener>;
  /** A list that is coming in parts. */
  parts: PresentListener[] | undefined;
}

interface Emptied {
  readonly id: string;
  /** Which process is to tell it. */
  readonly node: string;
  /** While somebody may still come back, or it may still be told. */
  readonly timer: NodeJS.Timeout | undefined;
  readonly since: number;
}

type Handler<K extends keyof PresenceEvents> = (event: PresenceEvents[K]) => unknown;

/** Listeners in one note. */
const BATCH = 200;
/** How often in an interval it is looked whether a process is lost. */
const LOOKS = 5;

/**
 * Who is there, in all processes. Each process tells the others what comes and goes with it, counted,
 * so that a missed word is noticed and all is told again; and it says at intervals that it lives.
 */
export class PresenceBoard {
  readonly #options: PresenceOptions;
  readonly #here = new Map<string, PresentListener>();
  readonly #nodes = new Map<string, Node>();
  readonly #byKey = new Map<TargetKey, Map<string, PresentListener>>();
  readonly #emptied = new Map<TargetKey, Emptied>();
  readonly #handlers: { readonly [K in keyof PresenceEvents]: Set<Handler<K>> } = {
    join: new Set(),
    leave: new Set(),
    empty: new Set(),
  };
  #seq = 0;
  #joined: PresentListener[] = [];
  #left: string[] = [];
  #telling = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { relay, subject, interval } = this.#options;
    if (relay.isAlone) return;
    let looks = 0;
    this.#timer = setInterval(() => {
      if (++looks % LOOKS === 0) this.#say({ word: "beat" });
      this.#forget();
    }, interval / LOOKS).unref();
    await relay.retain(subject, (note) => this.#receive(note));
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

  /** A listener came; one that is there already belongs to others now. */
  join(listener: PresentListener): void {
    this.#put(this.#here, listener, this.#node);
    if (!this.#options.relay.isAlone) this.#joined.push(listener);
    this.#tellSoon();
    this.#emit("join", listener);
  }

  leave(listener: PresentListener): void {
    if (!this.#here.delete(listener.id)) return;
    if (!this.#options.relay.isAlone) this.#left.push(listener.id);
    this.#tellSoon();
    this.#emit("leave", listener);
    this.#remove(listener, this.#node);
  }

  of(key: TargetKey): Presence {
    const listeners = [...(this.#byKey.get(key)?.values() ?? [])];
    const count = (name: "session" | "client") =>
      new Set(listeners.map((it) => it[name]).filter((it) => it !== undefined)).size;
    return {
      listeners: listeners.length,
      sessions: count("session"),
      clients: count("client"),
      exact: this.#options.relay.isAlone || this.#options.relay.isUp,
    };
  }

  /** What is kept, of all processes. */
  get size(): { readonly listeners: number; readonly keys: number; readonly nodes: number } {
    let listeners = this.#here.size;
    for (const node of this.#nodes.values()) listeners += node.listeners.size;
    return { listeners, keys: this.#byKey.size + this.#emptied.size, nodes: this.#nodes.size };
  }

  /** The bus is back: what was said meanwhile is unknown on both sides. */
  resync(): void {
    this.#say({ word: "hello" });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#say({ word: "bye" });
    for (const { timer } of this.#emptied.values()) clearTimeout(timer);
    this.#emptied.clear();
  }

  get #node(): string {
    return this.#options.relay.node;
  }

  // ── what this process says ──

  #say(note: Record<string, unknown>): void {
    const { relay, subject } = this.#options;
    void relay.publish(subject, { ...note, seq: this.#seq });
  }

  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => this.#tell());
  }

  #tell(): void {
    this.#telling = false;
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

  /** Processes that haven't been heard of, and words that were missed. */
  #forget(): void {
    const { interval } = this.#options;
    const now = Date.now();
    const lost = now - (3 - 1 / LOOKS) * interval;
    for (const [id, node] of this.#nodes) if (node.seenAt < lost) this.#lose(id, node);
    for (const [key, { timer, since }] of this.#emptied) {
      if (timer === undefined && since < lost) this.#emptied.delete(key);
    }
  }

  // ── what the others say ──

  #receive(note: Note): void {
    const { node: id, word, seq } = note;
    const known = this.#nodes.get(id);
    if (word === "bye") {
      if (known) this.#lose(id, known);
    } else if (word === "empty") {
      this.#settle(note);
    } else if (word === "ask") {
      if (note.of === this.#node) this.#tellAll();
    } else if (typeof seq === "number") {
      const node = known ?? { seq: -1, seenAt: 0, listeners: new Map(), parts: undefined };
      this.#nodes.set(id, node);
      node.seenAt = Date.now();
      this.#learn(id, node, note, seq);
    }
  }

  #learn(id: string, node: Node, note: Note, seq: number): void {
    const { word } = note;
    if (word === "hello") this.#tellAll();
    if (word === "all") {
      this.#takeAll(id, node, note, seq);
    } else if (word === "change" && seq === node.seq + 1) {
      node.seq = seq;
      for (const it of listenersOf(note.joined)) this.#put(node.listeners, it, id);
      for (const left of Array.isArray(note.left) ? note.left : []) this.#drop(id, node, left);
    } else if (seq !== node.seq) {
      this.#say({ word: "ask", of: id });
    }
  }

  #takeAll(id: string, node: Node, note: Note, seq: number): void {
    if (note.first === true) node.parts = [];
    // Its beginning was missed: it will be asked for again.
    if (node.parts === undefined) return;
    node.parts.push(...listenersOf(note.listeners));
    if (note.last !== true) return;
    const now = new Map(node.parts.map((it) => [it.id, it]));
    node.parts = undefined;
    node.seq = seq;
    for (const it of now.values()) this.#put(node.listeners, it, id);
    for (const old of [...node.listeners.keys()]) if (!now.has(old)) this.#drop(id, node, old);
  }

  #put(listeners: Map<string, PresentListener>, listener: PresentListener, node: string): void {
    const before = listeners.get(listener.id);
    const lost = before ? this.#unindex(before) : [];
    listeners.set(listener.id, listener);
    this.#index(listener);
    this.#empty(
      lost.filter((key) => !this.#byKey.has(key)),
      listener.id,
      node,
    );
  }

  #drop(id: string, node: Node, listenerId: string): void {
    const listener = node.listeners.get(listenerId);
    if (!node.listeners.delete(listenerId) || listener === undefined) return;
    this.#remove(listener, id);
  }

  /** A process has gone: one of those that are left speaks for it. */
  #lose(id: string, node: Node): void {
    this.#nodes.delete(id);
    const speaks = this.#isFirst();
    for (const listener of node.listeners.values()) {
      if (speaks) this.#emit("leave", listener);
      this.#remove(listener, id);
    }
    // Their time has passed, and who was to tell it can't.
    for (const [key, { timer }] of this.#emptied) if (timer === undefined) this.#tellEmpty(key);
  }

  #isFirst(): boolean {
    return [...this.#nodes.keys()].every((other) => this.#node < other);
  }

  // ── who can be reached by what ──

  #index(listener: PresentListener): void {
    for (const key of keysOf(listener)) {
      const listeners = this.#byKey.get(key) ?? new Map<string, PresentListener>();
      this.#byKey.set(key, listeners.set(listener.id, listener));
      const emptied = this.#emptied.get(key);
      if (emptied) {
        clearTimeout(emptied.timer);
        this.#emptied.delete(key);
      }
    }
  }

  #unindex(listener: PresentListener): TargetKey[] {
    const emptied: TargetKey[] = [];
    for (const key of keysOf(listener)) {
      const listeners = this.#byKey.get(key);
      if (!listeners?.delete(listener.id) || listeners.size > 0) continue;
      this.#byKey.delete(key);
      emptied.push(key);
    }
    return emptied;
  }

  #remove(listener: PresentListener, node: string): void {
    this.#empty(this.#unindex(listener), listener.id, node);
  }

  #empty(keys: readonly TargetKey[], last: string, node: string): void {
    for (const key of keys) {
      if (key.startsWith("session:")) continue;
      const timer = setTimeout(() => this.#afterGrace(key), this.#options.leaveGrace).unref();
      // The same in every process, so that repeats are known.
      const id = `${last}.${key.slice(0, key.indexOf(":"))}`;
      this.#emptied.set(key, { id, node, timer, since: Date.now() });
    }
  }

  /** Whose listener went last tells it; they are given the time to. */
  #afterGrace(key: TargetKey): void {
    const emptied = this.#emptied.get(key);
    if (emptied === undefined) return;
    if (emptied.node !== this.#node && this.#nodes.has(emptied.node)) {
      const { interval } = this.#options;
      const timer = setTimeout(() => this.#overdue(key), interval / LOOKS).unref();
      this.#emptied.set(key, { ...emptied, timer });
    } else {
      this.#tellEmpty(key);
    }
  }

  /** Two whose listeners went at once each take the other's for the last: then one does it. */
  #overdue(key: TargetKey): void {
    const emptied = this.#emptied.get(key);
    if (emptied === undefined) return;
    if (this.#isFirst()) this.#tellEmpty(key);
    else this.#emptied.set(key, { ...emptied, timer: undefined, since: Date.now() });
  }

  #tellEmpty(key: TargetKey): void {
    const emptied = this.#emptied.get(key);
    this.#emptied.delete(key);
    if (emptied === undefined || (emptied.node !== this.#node && !this.#isFirst())) return;
    const { id } = emptied;
    const at = key.indexOf(":");
    this.#say({ word: "empty", key });
    this.#emit("empty", { [key.slice(0, at)]: key.slice(at + 1), id } as Empty);
  }

  #settle({ key }: Note): void {
    clearTimeout(this.#emptied.get(key as TargetKey)?.timer);
    this.#emptied.delete(key as TargetKey);
  }

  #emit<K extends keyof PresenceEvents>(name: K, event: PresenceEvents[K]): void {
    for (const handler of this.#handlers[name] as Set<Handler<K>>) void this.#run(handler, event);
  }

  async #run<E>(handler: (event: E) => unknown, event: E): Promise<void> {
    try {
      await handler(event);
    } catch (error) {
      report("error", { level: "error", error });
    }
  }
}

function keysOf({ client, session, user }: PresentListener): TargetKey[] {
  const keys: TargetKey[] = [];
  if (client !== undefined) keys.push(`client:${client}`);
  if (session !== undefined) keys.push(`session:${session}`);
  if (user !== undefined) keys.push(`user:${user}`);
  return keys;
}

const listenersOf = (value: unknown): PresentListener[] =>
  Array.isArray(value) ? value.filter((it) => typeof it?.id === "string") : [];
