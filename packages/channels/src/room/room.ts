import type { Bus } from "@lanai/pubsub";
import type { Notes } from "../bus/notes.ts";
import type { AnyChannel } from "../channel.ts";
import type { Frame } from "../frame.ts";
import { Log } from "./log.ts";
import type { Member } from "./members.ts";
import { membersSubject, Presence } from "./presence.ts";
import { type Beginning, type From, type Outlet, Seat, type SeatOptions } from "./seat.ts";

export interface RoomOptions {
  readonly key: string;
  readonly channel: AnyChannel;
  readonly bus: Bus;
  readonly notes: Notes;
  readonly scope: string;
  readonly node: string;
  /** The first token of the channels' subjects. */
  readonly prefix: string;
  readonly recent: number;
  /** Resolves when this process may deliver; `undefined`: it may now. */
  readonly permission: () => Promise<void> | undefined;
  /** Nobody is in it any more, or its subscription has ended. */
  readonly onEnd: (room: Room) => void;
  readonly onError: (error: unknown) => void;
  /** Called if the bus rejects a note about its members. */
  readonly onUnsent: () => void;
}

/** A member in this process. It is notified when the room has ended. */
export interface Occupant extends Outlet {
  readonly id: string;
  /** The room's subscription has ended under it. */
  dropped(room: Room): void;
}

/** One channel with its members of this process. */
export class Room {
  readonly key: string;
  readonly channel: AnyChannel;
  /** Resolves when whatever is published afterwards reaches its members. */
  readonly ready: Promise<void>;
  readonly #options: RoomOptions;
  readonly #log: Log;
  readonly #ephemeral: Log | undefined;
  readonly #presence: Presence | undefined;
  readonly #seatOptions: SeatOptions;
  readonly #seats = new Map<Occupant, Seat>();
  /** Joins that wait for this room. */
  #holds = 0;
  #hasEnded = false;

  constructor(options: RoomOptions) {
    this.#options = options;
    const { key, channel, notes, scope, node, prefix } = options;
    const { events, presence, maxReplay = 100 } = channel.config;
    this.key = key;
    this.channel = channel;
    const recent = Math.max(options.recent, maxReplay);
    this.#log = this.#logOf(`${prefix}.${key}`, false, recent);
    this.#seatOptions = {
      ...{ key, log: this.#log },
      ...{ permission: options.permission, onError: options.onError },
    };
    if (Object.values(events).some((it) => (it as { ephemeral?: boolean }).ephemeral)) {
      this.#ephemeral = this.#logOf(`${prefix}-now.${key}`, true, 1);
    }
    if (presence) {
      const show = (frame: Frame): void => void this.#showEverybody(frame);
      const subject = membersSubject(scope, key);
      const { onUnsent } = options;
      this.#presence = new Presence({ notes, subject, node, key, show, onUnsent });
    }
    this.ready = Promise.all([
      this.#log.open(),
      this.#ephemeral?.open(),
      this.#presence?.open(),
    ]).then(() => {});
    this.ready.catch(() => this.#end());
  }

  #logOf(subject: string, isEphemeral: boolean, recent: number): Log {
    const { bus, key, onError } = this.#options;
    return new Log({
      ...{ bus, subject, key, recent, onError, showsGaps: !isEphemeral },
      read: (data) => {
        const { e, d } = (data ?? {}) as Record<string, unknown>;
        const events = this.channel.config.events as Record<string, { ephemeral?: boolean }>;
        if (typeof e !== "string" || !Object.hasOwn(events, e)) return undefined;
        return (events[e]?.ephemeral ?? false) === isEphemeral ? { e, d } : undefined;
      },
      onEntry: (entry, seq) => {
        if (this.#options.permission() !== undefined) return this.#pause();
        if (isEphemeral) return entry.cursor === undefined ? this.#show(entry.frame) : undefined;
        for (const seat of this.#seats.values()) seat.push(entry, seq);
      },
      onLost: () => this.#end(),
    });
  }

  /** The differences of presence: who misses one would be wrong for good. */
  async #showEverybody(frame: Frame): Promise<void> {
    for (let wait = this.#options.permission(); wait; wait = this.#options.permission()) await wait;
    for (const occupant of this.#seats.keys()) occupant.send(frame);
  }

  /** Sends a frame that has no place in the order to all members that have received everything before it. */
  #show(frame: Frame): void {
    for (const [occupant, seat] of this.#seats) if (seat.isLive) occupant.send(frame);
  }

  #pause(): void {
    for (const seat of this.#seats.values()) seat.pause();
  }

  // ── members ──

  get size(): number {
    return this.#seats.size;
  }

  /** Keeps the room while a join waits for it. The returned function lets it go. */
  hold(): () => void {
    this.#holds += 1;
    return () => {
      this.#holds -= 1;
      this.#endIfEmpty();
    };
  }

  /** Finds out where a page begins. Until it is added nothing is sent to it. */
  async prepare(occupant: Occupant, from: From): Promise<[Seat, Beginning]> {
    const seat = new Seat(this.#seatOptions, occupant);
    return [seat, await seat.prepare(from)];
  }

  /**
   * Adds a member, and sends it what comes before the next live message.
   *
   * @returns Whether the room has not ended meanwhile.
   */
  add(occupant: Occupant, [seat, beginning]: readonly [Seat, Beginning]): boolean {
    if (this.#hasEnded) return false;
    this.#seats.set(occupant, seat);
    seat.begin(beginning);
    for (const frame of this.#presence?.snapshot() ?? []) occupant.send(frame);
    return true;
  }

  remove(occupant: Occupant): void {
    this.#seats.get(occupant)?.end();
    if (!this.#seats.delete(occupant)) return;
    this.#presence?.delete(occupant.id);
    this.#endIfEmpty();
  }

  setMember(occupant: Occupant, member: Member): void {
    if (this.#seats.has(occupant)) this.#presence?.set(occupant.id, member);
  }

  loseNode(node: string): void {
    this.#presence?.lose(node);
  }

  askForMembers(): void {
    this.#presence?.synchronise();
  }

  #endIfEmpty(): void {
    if (this.#holds === 0 && this.#seats.size === 0) this.#end();
  }

  /** Whoever is still in it joins again, with the cursor that they have. */
  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#options.onEnd(this);
    const occupants = [...this.#seats.keys()];
    for (const seat of this.#seats.values()) seat.end();
    this.#seats.clear();
    for (const occupant of occupants) occupant.dropped(this);
    void this.#close();
  }

  async close(): Promise<void> {
    this.#hasEnded = true;
    for (const seat of this.#seats.values()) seat.end();
    await this.#close();
  }

  async #close(): Promise<void> {
    await Promise.allSettled([
      this.#log.close(),
      this.#ephemeral?.close(),
      this.#presence?.close(),
    ]);
  }
}
