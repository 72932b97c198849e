import type { DatabaseSync } from "node:sqlite";
import { lockedError } from "./lock-queue.ts";

/** Does all of the work or none of it, alone. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  refuseForeignTransaction(database);
  // At once as a writer: one that began by reading could be refused when it comes to writing.
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    rollback(database);
    throw error;
  }
}

function rollback(database: DatabaseSync) {
  try {
    database.exec("ROLLBACK");
  } catch {
    // After some errors, that of a full disk for one, SQLite has done so by itself.
  }
}

/**
 * While the app is in a transaction on a connection that it shares, a write would be undone with
 * the app's, and a read would see the state of when the app began. Node before 22.16 can't detect
 * this.
 *
 * @throws Error for which {@link LockQueue} tries again.
 */
export function refuseForeignTransaction(database: DatabaseSync): void {
  if (!database.isTransaction) return;
  throw lockedError("sqliteStore: the app has a transaction open on the same connection");
}
