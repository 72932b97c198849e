import { type Change, expiresAt, type Key, type SessionRecord } from "../store.ts";
import type { AppliedOperations } from "./applied-operations.ts";
import type { ShardedMap } from "./sharded-map.ts";
import type { Placed, UseOrder } from "./use-order.ts";

/** A live session. The object stays the same through renewals; its record is replaced. */
export interface MemorySession extends Placed<MemorySession> {
  key: Key;
  record: SessionRecord;
  bytes: number;
  /** The keys it had in the last minute, the latest last; made when there is one. */
  oldKeys: Key[] | undefined;
  /** The operation that made it. */
  readonly origin: string;
  /** The operations that were applied last; made by the first commit. */
  applied: AppliedOperations | undefined;
}

/** The entry under the old key of a renewed session. It goes when the session does. */
export interface Marker {
  readonly successor: MemorySession;
  readonly until: number;
  /** A renewal since has changed the user: the key accepts no commit any more. */
  isBarred: boolean;
}

/** Returns the session that an entry is, or that a marker leads to. */
export function sessionIn(entry: MemorySession | Marker): MemorySession {
  return "successor" in entry ? entry.successor : entry;
}

export const isExpired = (session: MemorySession, now: number): boolean =>
  expiresAt(session.record) <= now;

/**
 * Returns the living sessions of whole shards, `wanted` of them if there are as many, and the shard that
 * follows.
 */
export function sessionsFrom(
  entries: ShardedMap<MemorySession | Marker>,
  now: number,
  cursor: string | undefined,
  wanted: number,
): { found: MemorySession[]; next?: string } {
  const { shards } = entries;
  const found: MemorySession[] = [];
  let shard = Number(cursor ?? 0);
  for (; shard < shards.length && found.length < wanted; shard++) {
    for (const entry of shards[shard]?.values() ?? []) {
      if (!("successor" in entry) && !isExpired(entry, now)) found.push(entry);
    }
  }
  return { found, ...(shard < shards.length && { next: `${shard}` }) };
}

/**
 * Returns the longest unused of the living sessions that existed at an instant. A session that is used
 * moves to the end of its order, or of another: none of them is missed, in however many steps they end.
 */
export function oldSessions(
  orders: readonly UseOrder<MemorySession>[],
  now: number,
  until: number,
  wanted: number,
): MemorySession[] {
  const found: MemorySession[] = [];
  for (const order of orders) {
    for (let it = order.oldestBut(); it && found.length < wanted; it = it.newer) {
      if (it.record.createdAt <= until && !isExpired(it, now)) found.push(it);
    }
  }
  return found;
}

/** Returns by how much a change makes a session larger. Only what it changes is measured. */
export function growthBy(
  change: Change,
  before: ReadonlyMap<string, string>,
  sizeOf: (text: string) => number,
): number {
  let growth = 0;
  for (const [name, text] of change.set ?? []) {
    const old = before.get(name);
    growth += sizeOf(text) + (old === undefined ? sizeOf(name) : -sizeOf(old));
  }
  for (const name of change.delete ?? []) {
    const old = before.get(name);
    const isGone = old !== undefined && !change.set?.has(name);
    if (isGone) growth -= sizeOf(name) + sizeOf(old);
  }
  return growth;
}
