import type { DatabaseSync } from "node:sqlite";
import type { Reserve } from "./reserve.ts";

/** SQLite's result codes; their higher bytes only say more. */
const IOERR = 10;
const FULL = 13;

/** With so many free pages in the database a write needs none of the disk. */
const FREE_PAGES = 32;

/** Whether there may be no room: a file that may not grow (a quota, `RLIMIT_FSIZE`) is an I/O error. */
export function isFull(error: unknown): boolean {
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === "number" && [FULL, IOERR].includes(code & 0xff);
}

/** The measures that allow sessions to be ended on a full disk. */
export interface DiskRoom {
  /**
   * Called in a transaction that may need more room than there was: refuses it while the reserve is given
   * up, because what that freed is for ending sessions. If there is room again, the reserve is restored.
   */
  forGrowth(): void;
  /** Called in every other transaction. */
  forEnding(): void;
  /** Called between transactions: frees the reserve, and what the log holds back. */
  giveUp(): void;
  /** Called in the transaction that needed it: makes it known to every process. */
  remember(): void;
  /** Called now and then: takes the reserve's room if it was lost. */
  keep(): void;
}

/** For a database in memory, or one of the app's. */
export const NO_DISK_ROOM: DiskRoom = {
  forGrowth() {},
  forEnding() {},
  giveUp() {},
  remember() {},
  keep() {},
};

/**
 * One row for a whole database: how many pages its log may have, so that the reserve suffices to write them
 * to the database; 0 while the reserve is given up.
 */
const SCHEMA = `CREATE TABLE IF NOT EXISTS lanai_reserve (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  log_pages INTEGER NOT NULL
) STRICT`;

export function diskRoomOf(database: DatabaseSync, reserve: Reserve): DiskRoom {
  database.exec(SCHEMA);
  const getPages = database.prepare("SELECT log_pages FROM lanai_reserve");
  const setPages = database.prepare("INSERT OR REPLACE INTO lanai_reserve VALUES (1, ?)");
  const freePages = database.prepare("PRAGMA freelist_count");
  let bound: number | undefined;

  const logPages = () => getPages.get()?.log_pages as number | undefined;
  const boundLog = (pages: number) => {
    if (pages === bound || pages === 0) return;
    // The log's file keeps its size when it begins anew, but for what is more than this.
    database.exec(
      `PRAGMA wal_autocheckpoint = ${pages}; PRAGMA journal_size_limit = ${reserve.bytesOf(pages)}`,
    );
    bound = pages;
  };
  const take = (): boolean => {
    if (!reserve.restore()) return false;
    const pages = reserve.logPages();
    if (pages !== logPages()) setPages.run(pages);
    boundLog(pages);
    return true;
  };

  // While it is given up, the next write that needs room takes it again.
  if (logPages() !== 0) take();
  return {
    forGrowth() {
      const pages = logPages();
      if (pages) return boundLog(pages);
      if (take()) return;
      if (Number(freePages.get()?.freelist_count) < FREE_PAGES) throw fullError();
    },
    forEnding: () => boundLog(logPages() ?? 0),
    giveUp() {
      reserve.giveUp();
      checkpoint(database);
    },
    remember: () => void setPages.run(0),
    keep() {
      if (logPages() !== 0) take();
    },
  };
}

/** Writes the log to the database, whereupon the log begins anew and grows no more. */
export function checkpoint(database: DatabaseSync): void {
  try {
    database.exec("PRAGMA wal_checkpoint(PASSIVE)");
  } catch {
    // There is still the room that the reserve left.
  }
}

const fullError = (): Error =>
  Object.assign(
    new Error("sqliteStore: the disk is full, and what room is left is kept for ending sessions"),
    { errcode: FULL },
  );
