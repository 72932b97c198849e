import { randomFillSync } from "node:crypto";
import { closeSync, openSync, statfsSync, statSync, truncateSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** The number of pages in the log at which SQLite writes them to the database. */
const LOG_PAGES = 1_000;
/** The reserve takes at most one part in this many of the free space. */
const SHARE = 4;
/** Less is none, in bytes. */
const LEAST = 64 * 1024;
const CHUNK = 256 * 1024;
/** The time in which a failed restoration is not tried again, in milliseconds. */
const PAUSE = 1_000;

/** The error codes of a disk on which nothing more can be written (`errno`, 3). */
const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/**
 * A file beside the database that keeps room on the disk. When the disk is full it is emptied, and what it
 * held is enough to write the whole log to the database: from then on the log begins anew, and ending
 * sessions takes no more room.
 */
export interface Reserve {
  /** Returns the greatest number of pages in the log for which the current reserve suffices. */
  logPages(): number;
  /** The size of a log of so many pages. */
  bytesOf(pages: number): number;
  /** Whether the room is there: takes it if it isn't. After a failure, tries again a second later. */
  restore(): boolean;
  giveUp(): void;
}

/** For a database in memory, or one of the app's. */
export const NO_RESERVE: Reserve = {
  logPages: () => LOG_PAGES,
  bytesOf: () => -1,
  restore: () => true,
  giveUp() {},
};

export function reserveBeside(path: string, pageSize: number): Reserve {
  const file = `${path}-reserve`;
  // A page of the log has a header; and while it is written there may come more.
  const bytesOf = (pages: number) => pages * (pageSize + 24);
  const bytesFor = (pages: number) => bytesOf(Math.ceil(pages * 1.25));
  const best = bytesFor(LOG_PAGES);
  let notBefore = 0;

  const held = () => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

  const restore = (): boolean => {
    if (held() >= LEAST) return true;
    if (performance.now() < notBefore) return false;
    const share = Math.floor(freeAt(path) / SHARE);
    for (let size = Math.min(best, share); size >= LEAST; size = Math.floor(size / 2)) {
      if (write(file, size)) return true;
    }
    notBefore = performance.now() + PAUSE;
    return false;
  };

  try {
    restore();
  } catch {
    // The folder can't be written, or whatever else: then there is none.
    return NO_RESERVE;
  }
  return {
    logPages: () => Math.min(Math.max(Math.floor(held() / bytesOf(1) / 1.25), 16), LOG_PAGES),
    bytesOf,
    restore,
    giveUp() {
      if (held() > 0) truncateSync(file);
    },
  };
}

/** Random, so that a file system that compresses takes the room indeed. */
function write(file: string, size: number): boolean {
  const descriptor = openSync(file, "w", 0o600);
  try {
    const chunk = Buffer.alloc(CHUNK);
    for (let left = size; left > 0; ) {
      randomFillSync(chunk);
      left -= writeSync(descriptor, chunk, 0, Math.min(left, CHUNK));
    }
    return true;
  } catch (error) {
    truncateSync(file);
    if (FULL.has((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function freeAt(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}
