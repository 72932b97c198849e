import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { SessionError } from "@lanai/session";
import { isLocked } from "./lock-queue.ts";
import { createSchema, type Queries, queriesOf } from "./schema.ts";
import { transaction } from "./transaction.ts";

export type Target = string | URL | DatabaseSync;

export interface Opened {
  readonly database: DatabaseSync;
  readonly statements: Readonly<Record<keyof Queries, StatementSync>>;
  /** Closes what was opened here, and nothing else. Calling it twice is harmless. */
  close(): void;
}

const PAUSE = 5;

/**
 * Opens a database, or takes the one that the app has opened, and makes the tables ready. Waits for
 * other processes up to `patience` milliseconds, without letting events in: it is for the start.
 */
export function openDatabase(target: Target, table: string, patience: number): Opened {
  const isOurs = !(target instanceof DatabaseSync);
  let database: DatabaseSync | undefined;
  const close = () => {
    if (isOurs) database?.close();
    database = undefined;
  };
  try {
    const opened = isOurs ? open(target) : target;
    database = opened;
    patiently(patience, () => {
      if (isOurs) setUp(opened);
      transaction(opened, () => createSchema(opened, table));
    });
    return { database, statements: prepare(database, queriesOf(table)), close };
  } catch (error) {
    close();
    const where = isOurs ? String(target) : "the given database";
    throw new SessionError(
      "ERR_SESSION_STORE_UNAVAILABLE",
      `sqliteStore: can't keep sessions in ${where}, table "${table}": ${(error as Error).message}`,
      { status: 503, cause: error },
    );
  }
}

const open = (path: string | URL) =>
  // Node before 22.15 takes no URL.
  new DatabaseSync(path instanceof URL ? fileURLToPath(path) : path);

/**
 * With a write-ahead log nobody who reads waits for a writer. NORMAL forces the log to the disk at
 * each checkpoint, not at each commit, which would hold up the process: a crash of the process loses
 * nothing, a power failure perhaps the last commits.
 */
const setUp = (database: DatabaseSync) => {
  database.exec("PRAGMA busy_timeout = 0; PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL");
};

const patiently = (patience: number, work: () => void) => {
  const until = performance.now() + patience;
  const bell = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isLocked(error) || performance.now() >= until) throw error;
      Atomics.wait(bell, 0, 0, PAUSE);
    }
  }
};

const prepare = (database: DatabaseSync, queries: Queries): Opened["statements"] => {
  const prepared = Object.entries(queries).map(([name, sql]) => [name, database.prepare(sql)]);
  return Object.fromEntries(prepared);
};
