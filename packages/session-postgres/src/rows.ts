import {
  type Change,
  type CommitResult,
  type Ended,
  type Key,
  SessionError,
  type SessionRecord,
} from "@lanai/session/store";

export interface LoadedRow {
  readonly status: "live" | "renewed";
  readonly now: string;
  readonly record: string;
}

export interface LimitedRow {
  /**
   * `full`: the owner has as many sessions as are allowed. `taken`: the session is to be renewed to the
   * key that it has.
   */
  readonly status: CommitResult["status"] | "full" | "taken";
  /** The sessions that were ended for a sign-in, as JSON. */
  readonly ended?: string | null;
}

export interface CreateRow extends LimitedRow {
  readonly key: Key | null;
}

export interface CommitRow extends LimitedRow {
  readonly key: Key;
  /**
   * Whether the key that was given is one from before a renewal. A text, like all that is read: the
   * app's `types` can make anything of other types.
   */
  readonly old: "true" | "false" | null;
  readonly record: string;
}

export function resultOf(row: CommitRow | undefined): CommitResult {
  switch (row?.status) {
    case "saved":
      return { status: "saved", key: row.key, ...(row.old === "true" && { renewed: true }) };
    case "renewed":
      return { status: "renewed" };
    case "conflict":
      return { status: "conflict", record: readRecord(row.record) };
    default:
      return { status: "gone" };
  }
}

export interface DestroyedRow {
  /** Sessions that began later stay. */
  readonly until: string;
  /** The last public id that was read, if there may be more. */
  readonly last: string | null;
  /** {@link EndedRow}s, as JSON. */
  readonly ended: string;
}

export interface EndedRow {
  readonly public_id: string;
  readonly owners: string;
}

export const jsonOf = (entries: ReadonlyMap<string, string | undefined>): string =>
  JSON.stringify(Object.fromEntries([...entries].map(([name, text]) => [name, text ?? null])));

export function parametersOf(key: Key, change: Change): unknown[] {
  const { set, expect, addOwners, removeOwners } = change;
  const entriesChange = set?.size || change.delete?.size;
  const ownersChange = addOwners?.size || removeOwners?.size;
  return [
    key,
    change.operation,
    change.renewTo ?? null,
    expect?.size ? jsonOf(expect) : null,
    // Where nothing changes nothing is written: a large value keeps its place.
    entriesChange ? jsonOf(set ?? new Map()) : null,
    [...(change.delete ?? [])],
    ownersChange ? [...(addOwners ?? [])] : null,
    [...(removeOwners ?? [])],
    change.touch ?? false,
    change.restart ?? false,
    change.idle ?? null,
    change.absolute ?? null,
    change.userChanged ?? false,
  ];
}

/** @throws {SessionError} `ERR_SESSION_DECODE` for a row that something else has written. */
export function readRecord(json: string): SessionRecord {
  const record = objectIn(json);
  const { publicId, entries, owners } = record;
  const values = isObject(entries) ? Object.entries(entries) : refuseDamaged();
  if (!values.every(isEntry) || !isTexts(owners) || !isText(publicId)) return refuseDamaged();
  const [createdAt, startedAt, seenAt] = [record.createdAt, record.startedAt, record.seenAt];
  if (![createdAt, startedAt, seenAt].every(Number.isFinite)) return refuseDamaged();
  return {
    publicId,
    values: new Map(values),
    owners: new Set(owners),
    createdAt: createdAt as number,
    startedAt: startedAt as number,
    seenAt: seenAt as number,
    idle: durationIn(record.idle),
    absolute: durationIn(record.absolute),
  };
}

const isObject = (it: unknown): it is Record<string, unknown> =>
  typeof it === "object" && it !== null && !Array.isArray(it);
const isText = (it: unknown): it is string => typeof it === "string";
const isTexts = (it: unknown): it is string[] => Array.isArray(it) && it.every(isText);
const isEntry = (entry: [string, unknown]): entry is [string, string] => isText(entry[1]);

/** JSON has no Infinity: PostgreSQL writes it as a text, and NaN, too. */
function durationIn(it: unknown): number {
  if (it === "Infinity") return Infinity;
  return typeof it === "number" && Number.isFinite(it) ? it : refuseDamaged();
}

function objectIn(json: string): Record<string, unknown> {
  let object: unknown;
  try {
    object = JSON.parse(json);
  } catch {
    // Its message would quote what is stored.
  }
  return isObject(object) ? object : refuseDamaged();
}

function refuseDamaged(): never {
  throw new SessionError(
    "ERR_SESSION_DECODE",
    "postgresStore: a session's row is not as this store writes it",
  );
}

/** An operation that ended nothing is remembered by a row without a public id. */
export const isEnded = (row: EndedRow): boolean => row.public_id !== "";

/** The owners of a session that has ended, as far as they can be read. */
export const readEnded = (row: EndedRow): Ended => ({
  publicId: row.public_id,
  owners: ownersIn(row.owners),
});

function ownersIn(json: string): ReadonlySet<string> {
  try {
    const owners: unknown = JSON.parse(json);
    return new Set(Array.isArray(owners) ? owners.filter(isText) : []);
  } catch {
    return new Set();
  }
}
