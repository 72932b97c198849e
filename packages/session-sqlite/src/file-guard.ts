import { type BigIntStats, statSync } from "node:fs";

/** The time for which a check is trusted, in milliseconds. */
const TRUSTED_FOR = 1_000;

/** A file as the file system knows it, whatever it is called: its device and its inode. */
type Identity = string | undefined;

export interface FileGuard {
  /**
   * Checks that the files are still those that were opened. A read trusts the check of a second ago, a
   * write that of the log's files, and what ends sessions none.
   *
   * @param now - The store's time in milliseconds.
   * @throws Error if they aren't, until they are back.
   */
  check(by: "read" | "write" | "end", now: number): void;
}

/** For a database in memory. */
export const NO_GUARD: FileGuard = { check() {} };

/**
 * Guards against a file that is removed or replaced while it is open: SQLite keeps reading and writing the
 * file that has no name any more, which no other process sees and which goes with the process. In a
 * database with a write-ahead log the same holds for the log and its index.
 *
 * @param path - As other processes will open it.
 * @param file - What SQLite has opened there: where `path` is a symbolic link, what that led to.
 * @param hasLog - Whether the database has a write-ahead log now.
 */
export function fileGuard(path: string, file: string, hasLog: () => boolean): FileGuard {
  const log = [`${file}-wal`, `${file}-shm`];
  const opened = identityOf(path);
  const openedLog = hasLog() ? log.map(identityOf) : [];
  let checkedAt = -Infinity;

  const isLogReplaced = () =>
    openedLog.some((it, n) => it !== undefined && it !== identityOf(log[n] as string)) &&
    // The app may have changed the mode of a database of its own.
    hasLog();

  return {
    check(by, now) {
      const isTrusted = now >= checkedAt && now < checkedAt + TRUSTED_FOR;
      if (isTrusted && by === "read") return;
      const isLogTrusted = isTrusted && by === "write";
      // Until all is well, nothing is trusted.
      const before = checkedAt;
      checkedAt = -Infinity;
      if (identityOf(path) !== opened) throw replaced(path);
      if (!isLogTrusted && isLogReplaced()) throw replaced(`${file}-wal or ${file}-shm`);
      checkedAt = isLogTrusted ? before : now;
    },
  };
}

function identityOf(path: string): Identity {
  const stats: BigIntStats | undefined = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}

const replaced = (path: string): Error =>
  new Error(
    `sqliteStore: ${path} was removed or replaced while this process had it open, so other processes don't see what is stored here: restart the app, or put the file back`,
  );
