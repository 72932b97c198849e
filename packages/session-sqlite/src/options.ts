import {
  checkOptions,
  checkValue,
  duration,
  func,
  or,
  type Rules,
  required,
  text,
  value,
} from "@lanai/connection/options";
import { nodeSqlite } from "./node-sqlite.ts";
import type { Target } from "./open-database.ts";

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /**
   * The name of the table of sessions, with which the names of all that belongs to it begin. At most
   * 64 letters, digits and `_`, a digit not first. Default: `sessions`.
   */
  readonly table?: string;
  /**
   * The lock timeout, in milliseconds: while another connection holds the database's lock, a call
   * waits this long before it rejects with SQLite's error. From 0 to 60,000, and less than the
   * `storeTimeout` of the sessions: a call that those gave up on may still be stored. Default:
   * 1,500.
   */
  readonly busyTimeout?: number;
  /**
   * The interval at which the rows of expired sessions are deleted, in milliseconds. It only
   * affects disk space: a session that has expired is never returned. From 1,000 to 86,400,000 (a
   * day), or `Infinity`: never by this store. Default: 60,000.
   */
  readonly sweepInterval?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

const TARGET = required(
  value(
    "a path, a URL or a DatabaseSync",
    (it) =>
      (typeof it === "string" && it !== "") ||
      it instanceof URL ||
      it instanceof nodeSqlite().DatabaseSync,
  ),
);

const RULES: Rules<SqliteStoreOptions> = {
  table: text("a name of at most 64 letters, digits and _", /^[a-z_][a-z0-9_]{0,63}$/i),
  busyTimeout: duration(0, 60_000),
  sweepInterval: or(duration(1_000, 86_400_000), Infinity),
  clock: func,
};

export function validate(target: Target, options: SqliteStoreOptions): void {
  checkValue("sqliteStore", "the first argument", target, TARGET);
  checkOptions("sqliteStore", options, RULES);
}
