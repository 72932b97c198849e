import { randomBytes, randomUUID } from "node:crypto";
import type { Change, Key, NewRecord } from "@lanai/session/store";

export const newKey = (): Key => `ab.${randomBytes(32).toString("base64url")}`;

export const record = (given: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  values: new Map(),
  owners: new Set(),
  idle: 60_000,
  absolute: 3_600_000,
  ...given,
});

export const change = (given: Partial<Change> = {}): Change => ({
  operation: randomUUID(),
  ...given,
});

export const holding = (text: string): NewRecord => record({ values: new Map([["v", text]]) });

export const owned = (...owners: string[]): NewRecord => record({ owners: new Set(owners) });

export const setting = (text: string): Change => change({ set: new Map([["v", text]]) });
