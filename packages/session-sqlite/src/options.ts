import { DatabaseSync } from "node:sqlite";
import { inspect } from "node:util";
import { knownOptions } from "@lanai/session";
import type { Target } from "./open-database.ts";

export interface SqliteStoreOptions {
  /**
   * The name of the table of sessions, with which the names of all that belongs to it begin. At most
   * 64 letters, digits and `_`, a digit not first. Default: `sessions`.
   */
  readonly table?: string;
  /**
   * For how long a call waits while another connection holds the database's lock, in milliseconds,
   * until it fails with SQLite's error. From 0 to 60,000, and less than the `storeTimeout` of the
   * sessions: what those gave up may still be stored. Default: 1,500.
   */
  readonly busyTimeout?: number;
  /**
   * How often the rows of expired sessions are deleted, in milliseconds. It is about their room: they
   * are gone at once. From 1,000 to 86,400,000, a day, or `Infinity`: never by this store. Default: 60,000.
   */
  readonly sweepInterval?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

const OPTIONS: readonly string[] = [
  "table",
  "busyTimeout",
  "sweepInterval",
  "clock",
] satisfies readonly (keyof SqliteStoreOptions)[];

export function validate(target: Target, options: SqliteStoreOptions): void {
  checkTarget(target);
  knownOptions("sqliteStore", options, OPTIONS);
  const { table, busyTimeout, sweepInterval, clock } = options;
  if (table !== undefined && !/^[a-z_][a-z0-9_]{0,63}$/i.test(table)) {
    throw new TypeError(
      `sqliteStore: table must be a name of at most 64 letters, digits and _, got ${String(table)}`,
    );
  }
  checkTime("busyTimeout", busyTimeout, 0, 60_000);
  if (sweepInterval !== Infinity) checkTime("sweepInterval", sweepInterval, 1_000, 86_400_000);
  if (clock !== undefined && typeof clock !== "function") {
    throw new TypeError(`sqliteStore: clock must be a function, got ${typeof clock}`);
  }
}

const checkTarget = (target: Target) => {
  if (typeof target === "string" ? target !== "" : target instanceof URL) return;
  if (target instanceof DatabaseSync) return;
  const got = target === "" ? "an empty string" : typeof target;
  throw new TypeError(
    `sqliteStore: the first argument must be a path, a URL or a DatabaseSync, got ${got}`,
  );
};

const checkTime = (name: string, ms: number | undefined, least: number, most: number) => {
  if (ms === undefined || (typeof ms === "number" && ms >= least && ms <= most)) return;
  throw new RangeError(
    `sqliteStore: ${name} must be from ${least} to ${most} milliseconds, got ${inspect(ms)}`,
  );
};
