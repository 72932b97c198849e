import { randomBytes, randomUUID } from "node:crypto";
import type { Change, Key, NewRecord } from "@lanai/session/store";

export const MINUTE = 60_000;

/** A key of a session; two that begin alike are in one slot of a cluster. */
export const newKey = (tag = "ab"): Key => `${tag}.${randomBytes(32).toString("base64url")}`;

export const record = (given: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  values: new Map(),
  owners: new Set(),
  idle: 30 * MINUTE,
  absolute: 24 * 60 * MINUTE,
  ...given,
});

export const change = (given: Partial<Change> = {}): Change => ({
  operation: randomUUID(),
  ...given,
});

/** Adds to what an entry is, as `session.update` does. */
export const increment = (from: number): Change =>
  change({
    set: new Map([["count", `${from + 1}`]]),
    expect: new Map([["count", from === 0 ? undefined : `${from}`]]),
  });
