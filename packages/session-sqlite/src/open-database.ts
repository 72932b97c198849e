import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { SessionError } from "@lanai/session/store";
import { checkpoint, type DiskRoom, diskRoomOf, isFull, NO_DISK_ROOM } from "./disk-room.ts";
import { type FileGuard, fileGuard, NO_GUARD } from "./file-guard.ts";
import { isLocked } from "./lock-queue.ts";
import { nodeSqlite } from "./node-sqlite.ts";
import { NO_RESERVE, reserveBeside } from "./reserve.ts";
import { createSchema, type Queries, queriesOf } from "./schema.ts";
import { transaction } from "./transaction.ts";

export type Target = string | URL | DatabaseSync;

export interface Opened {
  readonly database: DatabaseSync;
  readonly statements: Readonly<Record<keyof Queries, StatementSync>>;
  readonly guard: FileGuard;
  readonly room: DiskRoom;
  /** Closes what was opened here, and nothing else. Calling it twice is harmless. */
  close(): void;
}

const PAUSE = 5;

/**
 * Opens a database, or takes the one that the app has opened, and makes the tables ready. Waits for
 * other processes up to `patience` milliseconds, without letting events in: it is for the start.
 */
export function openDatabase(target: Target, table: string, patience: number): Opened {
  const { DatabaseSync } = nodeSqlite();
  const isOurs = !(target instanceof DatabaseSync);
  let database: DatabaseSync | undefined;
  const close = () => {
    if (isOurs) database?.close();
    database = undefined;
  };
  try {
    const opened = isOurs ? new DatabaseSync(pathOf(target)) : target;
    database = opened;
    const path = fileOf(opened);
    if (isOurs) patiently(patience, () => setUp(opened));
    const reserve = isOurs && path !== "" ? reserveBeside(path, pageSizeOf(opened)) : NO_RESERVE;
    const prepareTables = () =>
      patiently(patience, () => {
        transaction(opened, () => createSchema(opened, table));
        return reserve === NO_RESERVE ? NO_DISK_ROOM : diskRoomOf(opened, reserve);
      });
    const room = withRoom(prepareTables, () => {
      reserve.giveUp();
      checkpoint(opened);
    });
    const given = isOurs ? resolve(pathOf(target)) : path;
    const guard =
      path === ""
        ? NO_GUARD
        : fileGuard(existsSync(given) ? given : path, path, () => hasLog(opened));
    return { database, statements: prepare(database, queriesOf(table)), guard, room, close };
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

// Node before 22.15 takes no URL.
const pathOf = (target: string | URL) => (target instanceof URL ? fileURLToPath(target) : target);

/** The file's absolute path; empty for a database in memory. */
function fileOf(database: DatabaseSync): string {
  const main = database
    .prepare("PRAGMA database_list")
    .all()
    .find(({ name }) => name === "main");
  return typeof main?.file === "string" ? main.file : "";
}

const pageSizeOf = (database: DatabaseSync): number =>
  Number(database.prepare("PRAGMA page_size").get()?.page_size);

const hasLog = (database: DatabaseSync): boolean =>
  database.prepare("PRAGMA journal_mode").get()?.journal_mode === "wal";

/** After a restart on a full disk there may be no room for the log. */
function withRoom(work: () => DiskRoom, makeRoom: () => void): DiskRoom {
  try {
    return work();
  } catch (error) {
    if (!isFull(error)) throw error;
    makeRoom();
    const room = work();
    room.remember();
    return room;
  }
}

/**
 * With a write-ahead log nobody who reads waits for a writer. NORMAL forces the log to the disk at
 * each checkpoint, not at each commit, which would hold up the process: a crash of the process loses
 * nothing, a power failure perhaps the last commits.
 */
function setUp(database: DatabaseSync) {
  database.exec("PRAGMA busy_timeout = 0; PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL");
  // What SQLite writes besides, in the folder for temporary files, may meet a full disk too.
  database.exec("PRAGMA temp_store = MEMORY");
}

function patiently<T>(patience: number, work: () => T): T {
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
}

function prepare(database: DatabaseSync, queries: Queries): Opened["statements"] {
  const prepared = Object.entries(queries).map(([name, sql]) => [name, database.prepare(sql)]);
  return Object.fromEntries(prepared);
}
