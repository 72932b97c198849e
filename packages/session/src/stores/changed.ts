import type { Change, SessionRecord } from "../store.ts";

/** A change without the name of its call. */
export type Changes = Omit<Change, "operation">;

/** Returns whether the entries are as the change expects them. For authors of stores. */
export function holds({ expect }: Changes, { values }: SessionRecord): boolean {
  if (expect === undefined) return true;
  for (const [name, text] of expect) if (values.get(name) !== text) return false;
  return true;
}

/**
 * For authors of stores: the record after a change; its values and its owners are the same objects
 * where none of them changes. Whether the change may be applied was judged before.
 */
export function changed(record: SessionRecord, change: Changes, now: number): SessionRecord {
  return {
    publicId: record.publicId,
    values: changedValues(record.values, change),
    owners: changedOwners(record.owners, change),
    createdAt: record.createdAt,
    startedAt: change.restart ? now : record.startedAt,
    seenAt: change.touch ? now : record.seenAt,
    idle: change.idle ?? record.idle,
    absolute: change.absolute ?? record.absolute,
  };
}

/** Returns the record with only those entries whose names are given. For authors of stores. */
export function withEntries(
  record: SessionRecord,
  names: ReadonlySet<string> | undefined,
): SessionRecord {
  if (names === undefined) return record;
  const values = new Map<string, string>();
  for (const name of names) {
    const text = record.values.get(name);
    if (text !== undefined) values.set(name, text);
  }
  return { ...record, values };
}

function changedValues(before: ReadonlyMap<string, string>, change: Changes) {
  if (!change.set?.size && !change.delete?.size) return before;
  // Copied by hand: `new Map(before)` takes longer.
  const after = new Map<string, string>();
  for (const [name, text] of before) after.set(name, text);
  for (const name of change.delete ?? []) after.delete(name);
  for (const [name, text] of change.set ?? []) after.set(name, text);
  return after;
}

function changedOwners(before: ReadonlySet<string>, change: Changes) {
  if (!change.addOwners?.size && !change.removeOwners?.size) return before;
  const after = new Set(before);
  for (const owner of change.removeOwners ?? []) after.delete(owner);
  for (const owner of change.addOwners ?? []) after.add(owner);
  return after;
}
