import type { PresentListener } from "./types.ts";

/** Another process, as it is known here. */
export interface Peer {
  /** The number of its last change that is known; if it is ahead, everything is asked for again. */
  seq: number;
  seenAt: number;
  readonly listeners: Map<string, PresentListener>;
  /** A list that arrives in parts. */
  parts: PresentListener[] | undefined;
}

/**
 * The other processes that are alive. Where one of all has to act, it is the first by name: the same in
 * all processes, as far as they know of each other.
 */
export class Peers {
  readonly #self: string;
  readonly #peers = new Map<string, Peer>();

  constructor(self: string) {
    this.#self = self;
  }

  get size(): number {
    return this.#peers.size;
  }

  get listeners(): number {
    let count = 0;
    for (const { listeners } of this.#peers.values()) count += listeners.size;
    return count;
  }

  has(node: string): boolean {
    return this.#peers.has(node);
  }

  get(node: string): Peer | undefined {
    return this.#peers.get(node);
  }

  /** Records that a process was seen, and returns it. */
  seen(node: string, now: number): Peer {
    const known = this.#peers.get(node);
    if (known) {
      known.seenAt = now;
      return known;
    }
    const peer: Peer = { seq: -1, seenAt: now, listeners: new Map(), parts: undefined };
    this.#peers.set(node, peer);
    return peer;
  }

  /** Gives every process its time anew: this one was deaf. */
  allSeen(now: number): void {
    for (const peer of this.#peers.values()) peer.seenAt = now;
  }

  delete(node: string): Peer | undefined {
    const peer = this.#peers.get(node);
    this.#peers.delete(node);
    return peer;
  }

  /** Returns the processes that were last seen before an instant. */
  silentSince(instant: number): string[] {
    return [...this.#peers].filter(([, { seenAt }]) => seenAt < instant).map(([node]) => node);
  }

  /** The number of live processes that come before this one. */
  get rank(): number {
    let rank = 0;
    for (const node of this.#peers.keys()) if (node < this.#self) rank += 1;
    return rank;
  }

  /** Whether this process acts where one of all live processes has to. */
  get isFirst(): boolean {
    return this.rank === 0;
  }
}
