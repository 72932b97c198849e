import type { DatabaseSync } from "node:sqlite";
import {
  type Awaitable,
  type CommitResult,
  changed,
  type Ended,
  holds,
  type IndexedStore,
  type Key,
  type Loaded,
  RENEWED_FOR,
  SessionError,
  type SessionRecord,
} from "@lanai/session";
import { LockQueue } from "./lock-queue.ts";
import { openDatabase } from "./open-database.ts";
import { type SqliteStoreOptions, validate } from "./options.ts";
import { type EndedRow, type Row, readTexts, recordOf, writeEntries, writeTexts } from "./row.ts";
import { refuseForeignTransaction, transaction } from "./transaction.ts";

/** Answers at once, without a promise, unless another connection holds the database's lock. */
export interface SqliteStore extends IndexedStore {
  /** Ends the sweeping, and closes the database if the store has opened it. */
  close(): void;
}

/** Of each session. A repeat comes within a moment. */
const REMEMBERED_OPERATIONS = 4;
const SWEPT_AT_ONCE = 100;
/** While there is more to sweep: milliseconds for everything else. */
const SWEEP_PAUSE = 20;

const NONE: Loaded = Object.freeze({ status: "none" });
const RENEWED: Loaded & CommitResult = Object.freeze({ status: "renewed" });
const GONE: CommitResult = Object.freeze({ status: "gone" });

/**
 * Keeps sessions in a SQLite file, by the SQLite that is part of Node: for one machine, and as many
 * processes on it as there are. They survive a restart.
 *
 * @param target - The path or the `file:` URL of a database, which is created if there is none, but
 *   not its folder. Or a database that the app has opened: it is used as the app has set it up, and
 *   `close` leaves it open.
 * @throws TypeError or RangeError for a target or an option that can't be.
 * @throws SessionError `ERR_SESSION_STORE_UNAVAILABLE` for a database that can't be opened, read and
 *   written, or that has another program's table of that name.
 */
export function sqliteStore(
  target: string | URL | DatabaseSync,
  options: SqliteStoreOptions = {},
): SqliteStore {
  validate(target, options);
  const { table = "sessions", busyTimeout = 1_500, sweepInterval = 60_000 } = options;
  const { clock = Date.now } = options;
  const { database, statements, close } = openDatabase(target, table, busyTimeout);
  const queue = new LockQueue(busyTimeout);

  const read = <T>(work: (now: number) => T): Awaitable<T> =>
    queue.read(() => {
      refuseForeignTransaction(database);
      return work(clock());
    });

  /** The time is that at which the lock was had, not that at which the wait for it began. */
  const alone = <T>(work: (now: number) => T): T => transaction(database, () => work(clock()));

  const write = <T>(work: (now: number) => T): Awaitable<T> => queue.write(() => alone(work));

  const find = (key: Key, now: number) =>
    statements.find.get({ key, now }) as unknown as Row | undefined;

  const takeKey = (key: Key, now: number) => {
    const row = find(key, now);
    if (!row) return;
    if (row.expires_at > now) {
      throw new SessionError("ERR_SESSION_KEY_TAKEN", "sqliteStore: the key is in use");
    }
    statements.remove.run({ id: row.id });
  };

  const save = (row: Row, before: SessionRecord, after: SessionRecord, operations: string[]) => {
    const { startedAt, seenAt, idle, absolute } = after;
    statements.update.run({
      ...{ id: row.id, startedAt, seenAt, idle, absolute },
      owners: after.owners === before.owners ? row.owners : writeTexts(after.owners),
      operations: writeTexts(operations.slice(-REMEMBERED_OPERATIONS)),
      entries: after.values === before.values ? row.entries : writeEntries(after.values),
    });
  };

  const sweep = () => {
    let isMore = false;
    try {
      isMore = alone((now) => {
        const limit = SWEPT_AT_ONCE;
        const sessions = statements.sweep.run({ now, limit }).changes;
        const oldKeys = statements.sweepOldKeys.run({ now, limit }).changes;
        return sessions === limit || oldKeys === limit;
      });
    } catch {
      // Locked: another time will do. Broken: the next request will tell.
    }
    sweepIn(isMore ? SWEEP_PAUSE : sweepInterval);
  };

  let sweeper: NodeJS.Timeout | undefined;
  const sweepIn = (ms: number) => {
    sweeper = setTimeout(sweep, ms).unref();
  };
  if (sweepInterval !== Infinity) sweepIn(sweepInterval);

  return {
    load: (key) =>
      read((now) => {
        const row = find(key, now);
        if (!row || row.expires_at <= now) return NONE;
        return row.key === key ? { status: "live", record: recordOf(row), now } : RENEWED;
      }),

    create(key, { operation, publicId, values, owners, idle, absolute }) {
      const session = {
        ...{ key, publicId, idle, absolute },
        owners: writeTexts(owners),
        operations: writeTexts([operation]),
        entries: writeEntries(values),
      };
      return write((now) => {
        const row = find(key, now);
        if (row && readTexts(row.operations).includes(operation)) return key;
        takeKey(key, now);
        statements.insert.run({ ...session, now });
        return key;
      });
    },

    commit: (key, change) =>
      write((now): CommitResult => {
        const row = find(key, now);
        if (!row) return GONE;
        const { operation, renewTo } = change;
        const operations = readTexts(row.operations);
        const saved = { status: "saved", key: renewTo ?? row.key } as const;
        if (operations.includes(operation)) return saved;
        if (row.expires_at <= now) return GONE;
        if (renewTo !== undefined && row.key !== key) return RENEWED;
        const record = recordOf(row);
        if (!holds(change, record)) return { status: "conflict", record };

        if (renewTo !== undefined) {
          takeKey(renewTo, now);
          statements.move.run({ id: row.id, key: renewTo });
          statements.remember.run({ id: row.id, key, until: now + RENEWED_FOR });
        }
        save(row, record, changed(record, change, now), [...operations, operation]);
        return saved;
      }),

    destroy: (key) => write((now) => endedBy(statements.end.all({ key, now }))[0]),

    list: (owner) =>
      read((now) => (statements.list.all({ owner, now }) as unknown as Row[]).map(recordOf)),

    destroyByPublicId: (owner, publicId) =>
      write((now) => endedBy(statements.endOne.all({ owner, now, publicId }))[0]),

    destroyAll: (owner, { except } = {}) =>
      write((now) => endedBy(statements.endOthers.all({ owner, now, except: except ?? null }))),

    close() {
      clearTimeout(sweeper);
      close();
    },
  };
}

const endedBy = (rows: readonly object[]): Ended[] =>
  (rows as EndedRow[]).map(({ public_id, owners }) => ({
    publicId: public_id,
    owners: new Set(readTexts(owners)),
  }));
