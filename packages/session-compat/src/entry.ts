import type { Ended, Key, SessionRecord } from "@lanai/session/store";

/** A session under its key, with the names of the last operations that were applied to it. */
export interface Living {
  readonly record: SessionRecord;
  readonly operations: readonly string[];
}

/** The value that stays under the key of a renewed session, for a minute. */
export interface Marker {
  readonly successor: Key;
  readonly until: number;
  /** The renewal has changed the user: this key, and those before it, accept no commit any more. */
  readonly barred?: boolean;
}

/**
 * The value that stays under the key of an ended session, for a minute, for those who repeat the
 * end.
 */
export interface Tombstone {
  readonly operation: string;
  readonly ended: Ended;
  readonly until: number;
}

export type Entry = Living | Marker | Tombstone;

export const isMarker = (entry: Entry): entry is Marker => "successor" in entry;
export const isTombstone = (entry: Entry): entry is Tombstone => "ended" in entry;

/**
 * The value that the wrapped store is given: plain JSON, in which no text of a visitor is a
 * property's name.
 */
export interface EntryJson {
  readonly version: 1;
  readonly successor?: Key;
  readonly until?: number;
  readonly barred?: boolean;
  readonly publicId?: string;
  readonly createdAt?: number;
  readonly startedAt?: number;
  readonly seenAt?: number;
  /** `null` is `Infinity`, which JSON lacks. */
  readonly idle?: number | null;
  readonly absolute?: number | null;
  readonly owners?: readonly string[];
  readonly values?: readonly (readonly [name: string, text: string])[];
  readonly operations?: readonly string[];
  /** The operation that ended the session. */
  readonly endedBy?: string;
}

const VERSION = 1;

const finite = (duration: number) => (duration === Infinity ? null : duration);

export function writeEntry(entry: Entry): EntryJson {
  if (isMarker(entry)) return { version: VERSION, ...entry };
  if (isTombstone(entry)) {
    const { operation, ended, until } = entry;
    const { publicId, owners } = ended;
    return { version: VERSION, endedBy: operation, until, publicId, owners: [...owners] };
  }
  const { idle, absolute, owners, values, ...rest } = entry.record;
  return {
    version: VERSION,
    ...rest,
    idle: finite(idle),
    absolute: finite(absolute),
    owners: [...owners],
    values: [...values],
    operations: [...entry.operations],
  };
}

/** `undefined` for what another program, or another version of this one, has left there. */
export function readEntry(stored: unknown): Entry | undefined {
  const written = (stored as { lanai?: EntryJson } | null | undefined)?.lanai;
  if (written?.version !== VERSION) return undefined;
  if (written.successor !== undefined) {
    const { successor, until = 0, barred = false } = written;
    return { successor, until, barred };
  }
  const { publicId, createdAt, startedAt, seenAt } = written;
  if (written.endedBy !== undefined && publicId !== undefined) {
    const ended = { publicId, owners: new Set(written.owners) };
    return { operation: written.endedBy, ended, until: written.until ?? 0 };
  }
  return {
    record: {
      publicId,
      createdAt,
      startedAt,
      seenAt,
      idle: written.idle ?? Infinity,
      absolute: written.absolute ?? Infinity,
      owners: new Set(written.owners),
      values: new Map(written.values),
    } as SessionRecord,
    operations: written.operations ?? [],
  };
}
