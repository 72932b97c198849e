import type { Cancel } from "@lanai/connection/deadline";
import type { Note } from "@lanai/connection/note-seal";

/** A listener, as all processes know it. */
export interface PresentListener {
  readonly id: string;
  /** The public id of its browser. */
  readonly client?: string | undefined;
  /** The public id of its session. */
  readonly session?: string | undefined;
  /** The signed-in user. */
  readonly user?: string | undefined;
}

/** The presence events, with their arguments, for `clients.on`. */
export interface PresenceEvents {
  /**
   * A listener joined, belongs to another session or user now, or is back after its process was lost.
   * Emitted by the process that has it.
   */
  join: PresentListener;
  /** A listener left. Emitted by the process that had it; if that was lost, by one of the others. */
  leave: PresentListener;
  /** The last listener of a client or a user left, and none came back during `leaveGrace`. */
  empty: Empty;
}

/** A client or user whose last listener has left; see {@link PresenceEvents.empty}. */
export type Empty = ({ readonly client: string } | { readonly user: string }) & {
  /** The same in every process, to recognise an emptiness that is emitted twice. */
  readonly id: string;
};

/** The counts of one target. */
export interface Presence {
  /** The number of live connections. */
  readonly listeners: number;
  /** The number of different sessions. */
  readonly sessions: number;
  /** The number of different browsers. */
  readonly clients: number;
  /** Whether all processes are known: `false` while the bus is unreachable. */
  readonly exact: boolean;
}

/** The part of the bus that presence uses. */
export interface PresenceBus {
  readonly node: string;
  readonly isAlone: boolean;
  readonly isUp: boolean;
  publish(subject: string, content: Readonly<Record<string, unknown>>): Promise<boolean>;
  retain(subject: string, handler: (note: Note) => void): Promise<void>;
}

/** The time of one process: a test can let it stand still. */
export interface Timers {
  /** Milliseconds from any fixed instant. */
  now(): number;
  after(ms: number, fn: () => void): Cancel;
  every(ms: number, fn: () => void): Cancel;
}
