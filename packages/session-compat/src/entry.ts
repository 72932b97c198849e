import type { Key, SessionRecord } from "@lanai/session";

/** A session under its key, with the names of the last operations that were applied to it. */
export interface Living {
  readonly record: SessionRecord;
  readonly operations: readonly string[];
}

/** What is left under the key of a renewed session, for a minute. */
export interface Marker {
  readonly successor: Key;
  readonly until: number;
}

export type Entry = Living | Marker;

export const isMarker = (entry: Entry): entry is Marker => "successor" in entry;

/** What the wrapped store is given: plain JSON, in which no text of a visitor is a property's name. */
export interface Written {
  readonly version: 1;
  readonly successor?: Key;
  readonly until?: number;
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
}

const VERSION = 1;

const finite = (duration: number) => (duration === Infinity ? null : duration);

export const writeEntry = (entry: Entry): Written => {
  if (isMarker(entry)) return { version: VERSION, ...entry };
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
};

/** `undefined` for what another program, or another version of this one, has left there. */
export const readEntry = (stored: unknown): Entry | undefined => {
  const written = (stored as { lanai?: Written } | null | undefined)?.lanai;
  if (written?.version !== VERSION) return undefined;
  if (written.successor !== undefined) {
    return { successor: written.successor, until: written.until ?? 0 };
  }
  const { publicId, createdAt, startedAt, seenAt } = written;
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
};
