import { parseJson } from "@lanai/connection/json";
import { SessionError, type SessionRecord } from "@lanai/session/store";

/** A session as its row is read. */
export interface Row {
  readonly id: number;
  readonly key: string;
  readonly public_id: string;
  readonly created_at: number;
  readonly started_at: number;
  readonly seen_at: number;
  readonly idle: number;
  readonly absolute: number;
  readonly expires_at: number;
  readonly owners: string;
  readonly operations: string;
  readonly entries: string;
}

/** The columns that a statement which ends sessions returns for each of them. */
export type EndedRow = Pick<Row, "public_id" | "owners">;

/** @throws SessionError `ERR_SESSION_DECODE` for a row that something else has written. */
export function recordOf(row: Row): SessionRecord {
  const flat = readTexts(row.entries);
  const values = new Map<string, string>();
  for (let n = 0; n < flat.length; n += 2)
    values.set(flat[n] as string, flat[n + 1] ?? unreadable());
  return {
    publicId: row.public_id,
    values,
    owners: new Set(readTexts(row.owners)),
    createdAt: row.created_at,
    startedAt: row.started_at,
    seenAt: row.seen_at,
    idle: row.idle,
    absolute: row.absolute,
  };
}

/** Names and texts in turn: an object would have an order of its own for names like `1`. */
export const writeEntries = (values: ReadonlyMap<string, string>): string =>
  JSON.stringify([...values].flat());

export const writeTexts = (texts: Iterable<string>): string => JSON.stringify([...texts]);

export function readTexts(json: string): string[] {
  let texts: unknown;
  try {
    texts = parseJson(json);
  } catch {
    // Its message would quote what is stored.
    unreadable();
  }
  if (Array.isArray(texts) && texts.every((text) => typeof text === "string")) return texts;
  return unreadable();
}

function unreadable(): never {
  throw new SessionError(
    "ERR_SESSION_DECODE",
    "sqliteStore: a session's row is not as this store writes it",
  );
}
