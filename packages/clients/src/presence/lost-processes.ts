import { randomBytes } from "node:crypto";
import type { Cancel } from "@lanai/connection/deadline";
import type { Peers } from "./peers.ts";
import type { PresentListener, Timers } from "./types.ts";

type Listeners = ReadonlyMap<string, PresentListener>;

interface Pending {
  readonly listeners: Listeners;
  readonly seq: number;
  readonly cancel: Cancel;
}

interface Loss {
  /** The work that this process does if no other does it. */
  pending: Pending | undefined;
  /**
   * The announcements that `leave` was emitted, by their names, each with the number of the lost
   * process's last change that the announcing one knew.
   */
  readonly announced: Map<string, number>;
}

export interface LostProcessesOptions {
  readonly peers: Peers;
  readonly timers: Timers;
  /** The longest that this process waits for one that comes before it, in milliseconds; see {@link Peers}. */
  readonly patience: () => number;
  /** Emits `leave` for a listener of a lost process. */
  leave(listener: PresentListener): void;
  /** Called when `leave` was emitted for a listener, here or elsewhere: until then it is present. */
  remove(listener: PresentListener, node: string): void;
  /** Announces to the other processes that it was emitted. */
  announce(node: string, id: string, seq: number): void;
}

/** The most lost processes, and announcements of one, that are remembered. */
const MOST = 1_000;

/**
 * Processes that `PresenceBoard` has found lost, for whose listeners another process has to emit `leave`. The first of the
 * live ones does so, and announces it; a process that receives no announcement does it itself. So it
 * happens once while the bus works, and at least once if processes are lost together. A lost process
 * that is back receives each announcement, and emits `join` for its listeners, after every `leave` that
 * others emitted.
 */
export class LostProcesses {
  readonly #options: LostProcessesOptions;
  readonly #lost = new Map<string, Loss>();

  constructor(options: LostProcessesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#lost.size;
  }

  /** A process is lost with these listeners, which are those of its change `seq`. */
  lose(node: string, listeners: Listeners, seq: number): void {
    if (listeners.size === 0) return;
    const loss = this.#of(node);
    // The announcement may come before this process notices the loss.
    if ([...loss.announced.values()].some((known) => known >= seq)) {
      this.#remove(node, listeners);
      return;
    }
    const { patience, timers } = this.#options;
    loss.pending?.cancel();
    const cancel = timers.after(patience(), () => this.#act(node, loss));
    loss.pending = { listeners, seq, cancel };
    this.ranked();
  }

  /** Acts if this process is the first of the live ones. Called whenever it may have become that. */
  ranked(): void {
    if (!this.#options.peers.isFirst) return;
    for (const [node, loss] of this.#lost) this.#act(node, loss);
  }

  #act(node: string, loss: Loss): void {
    const { pending } = loss;
    if (pending === undefined) return;
    pending.cancel();
    loss.pending = undefined;
    for (const listener of pending.listeners.values()) this.#options.leave(listener);
    this.#remove(node, pending.listeners);
    this.#announce(node, loss, pending.seq);
  }

  #remove(node: string, listeners: Listeners): void {
    for (const listener of listeners.values()) this.#options.remove(listener, node);
  }

  #announce(node: string, { announced }: Loss, seq: number): void {
    const id = randomBytes(9).toString("base64url");
    announced.set(id, seq);
    dropOldest(announced);
    this.#options.announce(node, id, seq);
  }

  /** Another process has emitted `leave` for the listeners of a lost one. */
  announced(node: string, id: string, seq: number): void {
    const loss = this.#of(node);
    loss.announced.set(id, seq);
    dropOldest(loss.announced);
    const { pending } = loss;
    if (pending === undefined || pending.seq > seq) return;
    pending.cancel();
    loss.pending = undefined;
    this.#remove(node, pending.listeners);
  }

  /**
   * Notes that a process has sent something. If others took it for lost, it may not know, and the
   * announcement is sent to it again.
   *
   * @param isRegular - Whether it sends such notes at intervals, so that it isn't notified too often.
   * @returns Its listeners, if they are still present.
   */
  found(node: string, isRegular: boolean): Listeners | undefined {
    const loss = this.#lost.get(node);
    if (loss === undefined || (loss.pending === undefined && !isRegular)) return undefined;
    const { pending } = loss;
    pending?.cancel();
    loss.pending = undefined;
    for (const [id, seq] of loss.announced) this.#options.announce(node, id, seq);
    // Somebody else may have acted unheard. Another `join` does no harm, a missing one would.
    if (pending) this.#announce(node, loss, pending.seq);
    return pending?.listeners;
  }

  /** A process has emitted `join` for its listeners after an announcement. */
  corrected(node: string, id: string): void {
    const loss = this.#lost.get(node);
    loss?.announced.delete(id);
    if (loss?.announced.size === 0 && loss.pending === undefined) this.forget(node);
  }

  /** A process has gone, and has emitted `leave` for its listeners itself. */
  forget(node: string): void {
    const pending = this.#lost.get(node)?.pending;
    this.#lost.delete(node);
    pending?.cancel();
    if (pending) this.#remove(node, pending.listeners);
  }

  close(): void {
    for (const { pending } of this.#lost.values()) pending?.cancel();
    this.#lost.clear();
  }

  #of(node: string): Loss {
    const known = this.#lost.get(node);
    if (known) return known;
    const loss: Loss = { pending: undefined, announced: new Map() };
    this.#lost.set(node, loss);
    if (this.#lost.size > MOST) {
      const [oldest = ""] = this.#lost.keys();
      this.forget(oldest);
    }
    return loss;
  }
}

/** Drops the oldest of too many that are remembered. */
export function dropOldest<K>(remembered: Map<K, unknown> | Set<K>, most: number = MOST): void {
  if (remembered.size <= most) return;
  const [oldest] = remembered.keys();
  remembered.delete(oldest as K);
}
