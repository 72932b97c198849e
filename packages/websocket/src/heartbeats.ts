import { type Cancel, repeat } from "@lanai/connection/deadline";
import type { UpgradedSocket } from "./upgraded-socket.ts";

/** The most groups of sockets, which are pinged one after the other, and the shortest time between two. */
const MOST_GROUPS = 25;
const SHORTEST_STEP = 1_000;

/**
 * Pings the clients of a server, and cuts the connection of one from which nothing has come since the
 * ping before: nobody else notices a peer that is gone. One timer serves all sockets. They are in
 * groups, so that not all are pinged at one moment.
 */
export class Heartbeats {
  readonly #groups: Set<UpgradedSocket>[];
  readonly #step: number;
  #next = 0;
  #size = 0;
  #stop: Cancel | undefined;
  /** The groups that aren't judged, because the process stood still since they were asked. */
  #pardoned = 0;

  /** @param interval - The time between two pings, in milliseconds; `Infinity`: never. */
  constructor(interval: number) {
    const count = Math.min(MOST_GROUPS, Math.max(1, Math.floor(interval / SHORTEST_STEP)));
    this.#groups = Array.from({ length: count }, () => new Set());
    this.#step = interval / count;
  }

  /** Pings a socket until it closes. Its first ping comes within an interval. */
  add(socket: UpgradedSocket): void {
    if (this.#step === Infinity) return;
    this.#smallest.add(socket);
    this.#size += 1;
    this.#stop ??= repeat(this.#step, (stoodStill) => this.#beat(stoodStill));
  }

  delete(socket: UpgradedSocket): void {
    for (const group of this.#groups) if (group.delete(socket)) this.#size -= 1;
    if (this.#size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }

  get #smallest(): Set<UpgradedSocket> {
    return this.#groups.reduce((least, it) => (it.size < least.size ? it : least));
  }

  #beat(stoodStill: boolean): void {
    if (stoodStill) this.#pardoned = this.#groups.length;
    const group = this.#groups[this.#next] ?? new Set();
    this.#next = (this.#next + 1) % this.#groups.length;
    for (const socket of group) socket.beat(this.#pardoned === 0);
    if (this.#pardoned > 0) this.#pardoned -= 1;
  }
}
