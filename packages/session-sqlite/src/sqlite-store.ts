import type { DatabaseSync } from "node:sqlite";
import {
  type Awaitable,
  type Change,
  type CommitResult,
  changed,
  type Ended,
  holds,
  type IndexedStore,
  type Key,
  type Loaded,
  type OwnerLimit,
  PAGE_SIZE,
  type PagedStore,
  REMEMBERED_FOR,
  RENEWED_FOR,
  SessionError,
  type SessionRecord,
  sessionLimitError,
  undamaged,
  withEntries,
} from "@lanai/session/store";
import { isFull } from "./disk-room.ts";
import { LockQueue } from "./lock-queue.ts";
import { openDatabase } from "./open-database.ts";
import { type SqliteStoreOptions, validate } from "./options.ts";
import { type EndedRow, type Row, readTexts, recordOf, writeEntries, writeTexts } from "./row.ts";
import { refuseForeignTransaction, transaction } from "./transaction.ts";

/** Returns a value, not a promise, unless another connection holds the database's lock. */
export interface SqliteStore extends IndexedStore, PagedStore {
  /** Ends the sweeping, and closes the database if the store has opened it. */
  close(): void;
}

/** The number of operations that each session remembers. A repeat comes within a moment. */
const REMEMBERED_OPERATIONS = 4;
const SWEPT_AT_ONCE = 100;
/** While there is more to sweep: milliseconds for everything else. */
const SWEEP_PAUSE = 20;

/** The row that remembers an operation which ended nothing. */
const NOTHING_ENDED: EndedRow = { public_id: "", owners: "[]" };

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
  const { database, statements, guard, room, close } = openDatabase(target, table, busyTimeout);
  const queue = new LockQueue(busyTimeout);

  const read = <T>(work: (now: number) => T): Awaitable<T> =>
    queue.read(() => {
      guard.check("read", clock());
      refuseForeignTransaction(database);
      return work(clock());
    });

  /** The time is that at which the lock was had, not that at which the wait for it began. */
  const alone = <T>(work: (now: number) => T): T => transaction(database, () => work(clock()));

  const write = <T>(work: (now: number) => T): Awaitable<T> =>
    queue.write(() => {
      guard.check("write", clock());
      return alone((now) => {
        room.forGrowth();
        return work(now);
      });
    });

  /**
   * For what ends sessions, which a full disk doesn't stop: then the reserve is given up, and at last,
   * where it is the database that may not grow, the operation isn't remembered.
   */
  const endAlone = <T>(work: (now: number, mayRemember: boolean) => T): T => {
    const unlessFull = (makeRoom: () => void): { result: T } | undefined => {
      try {
        return alone((now) => {
          makeRoom();
          return { result: work(now, true) };
        });
      } catch (error) {
        if (!isFull(error)) throw error;
        return undefined;
      }
    };
    let done = unlessFull(room.forEnding);
    if (!done) {
      room.giveUp();
      done = unlessFull(room.remember);
    }
    return done ? done.result : alone((now) => work(now, false));
  };

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

  const isBarred = (oldKey: Key) => statements.barred.get({ key: oldKey }) !== undefined;

  const save = (row: Row, before: SessionRecord, after: SessionRecord, operations: string[]) => {
    const { startedAt, seenAt, idle, absolute } = after;
    statements.update.run({
      ...{ id: row.id, startedAt, seenAt, idle, absolute },
      owners: after.owners === before.owners ? row.owners : writeTexts(after.owners),
      operations: writeTexts(operations.slice(-REMEMBERED_OPERATIONS)),
      entries: after.values === before.values ? row.entries : writeEntries(after.values),
    });
  };

  /** Ends what is due, unless the operation is a repeat. */
  const end = (operation: string | undefined, due: (now: number) => object[]) =>
    queue.write(() => {
      // A sign-out that only this process sees would be none.
      guard.check("end", clock());
      return endAlone((now, mayRemember) => endNow(operation, due, now, mayRemember));
    });

  const endNow = (
    operation: string | undefined,
    due: (now: number) => object[],
    now: number,
    mayRemember: boolean,
  ): readonly Ended[] => {
    if (operation === undefined) return endedBy(due(now));
    const before = statements.endedBy.all({ operation, now });
    if (before.length > 0) return endedBy(before);
    const rows = due(now) as EndedRow[];
    if (!mayRemember) return endedBy(rows);
    const until = now + REMEMBERED_FOR;
    for (const { public_id: publicId, owners } of rows.length > 0 ? rows : [NOTHING_ENDED]) {
      statements.rememberEnd.run({ operation, publicId, owners, until });
    }
    return endedBy(rows);
  };

  /** Ends, or refuses, what is too much of one owner's. */
  const limit = (
    { owner, limit: most, overflow, onEnded }: OwnerLimit,
    publicId: string,
    now: number,
  ) => {
    const others = (statements.list.all({ owner, now }) as unknown as Row[])
      .filter((row) => row.public_id !== publicId)
      .sort((a, b) => a.seen_at - b.seen_at);
    const due = others.slice(0, Math.max(others.length + 1 - most, 0));
    if (due.length === 0) return;
    if (overflow === "refuse") throw sessionLimitError(most);
    for (const { id } of due) statements.remove.run({ id });
    onEnded?.(endedBy(due));
  };

  /** Applies a change to the session that has a key, or had it. */
  const commitTo = (row: Row, key: Key, change: Change, now: number): CommitResult => {
    const { operation, renewTo, userChanged = false } = change;
    const operations = readTexts(row.operations);
    const isOld = row.key !== key;
    const saved: CommitResult =
      isOld && renewTo === undefined
        ? { status: "saved", key, renewed: true }
        : { status: "saved", key: renewTo ?? key };
    if (operations.includes(operation)) return saved;
    if (row.expires_at <= now) return GONE;
    if (isOld && (renewTo !== undefined || isBarred(key))) return RENEWED;
    const record = recordOf(row);
    if (!holds(change, record)) return isOld ? RENEWED : { status: "conflict", record };

    if (change.limitOwner) limit(change.limitOwner, record.publicId, now);
    if (renewTo !== undefined) {
      takeKey(renewTo, now);
      statements.move.run({ id: row.id, key: renewTo });
      if (userChanged) statements.bar.run({ id: row.id });
      const until = now + RENEWED_FOR;
      statements.remember.run({ id: row.id, key, until, barred: userChanged ? 1 : 0 });
    }
    save(row, record, changed(record, change, now), [...operations, operation]);
    return saved;
  };

  const sweep = () => {
    let isMore = false;
    try {
      room.keep();
      isMore = endAlone((now) => {
        const limit = SWEPT_AT_ONCE;
        const sessions = statements.sweep.run({ now, limit }).changes;
        const oldKeys = statements.sweepOldKeys.run({ now, limit }).changes;
        const ends = statements.sweepEnds.run({ now, limit }).changes;
        return [sessions, oldKeys, ends].includes(limit);
      });
    } catch {
      // If the file is locked, the next sweep deletes them. If it is broken, the next request
      // fails.
    }
    sweepIn(isMore ? SWEEP_PAUSE : sweepInterval);
  };

  let sweeper: NodeJS.Timeout | undefined;
  const sweepIn = (ms: number) => {
    sweeper = setTimeout(sweep, ms).unref();
  };
  if (sweepInterval !== Infinity) sweepIn(sweepInterval);

  return {
    limitsOwners: true,

    load: (key) =>
      read((now) => {
        const row = find(key, now);
        if (!row || row.expires_at <= now) return NONE;
        return row.key === key ? { status: "live", record: recordOf(row), now } : RENEWED;
      }),

    create(key, { operation, publicId, values, owners, idle, absolute, limitOwner }) {
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
        if (limitOwner) limit(limitOwner, publicId, now);
        statements.insert.run({ ...session, now });
        return key;
      });
    },

    commit: (key, change) =>
      write((now) => {
        const row = find(key, now);
        return row ? commitTo(row, key, change, now) : GONE;
      }),

    destroy: (key, operation) => first(end(operation, (now) => statements.end.all({ key, now }))),

    list: (owner, { entries } = {}) =>
      read((now) => {
        const rows = statements.list.all({ owner, now }) as unknown as Row[];
        return undamaged(rows, (row) => withEntries(recordOf(row), entries));
      }),

    commitByPublicId: (owner, publicId, change) =>
      write((now) => {
        // A repeat: the first attempt may have removed the owner.
        const { renewTo, operation } = change;
        const before = renewTo === undefined ? undefined : find(renewTo, now);
        if (renewTo !== undefined && before && readTexts(before.operations).includes(operation)) {
          return { status: "saved", key: renewTo };
        }
        const found = statements.findOne.get({ owner, publicId, now }) as unknown as
          | Row
          | undefined;
        return found ? commitTo(found, found.key, change, now) : GONE;
      }),

    destroyByPublicId: (owner, publicId, operation) =>
      first(end(operation, (now) => statements.endOne.all({ owner, now, publicId }))),

    destroyAll: (owner, { except = null, operation } = {}) =>
      end(operation, (now) => statements.endOthers.all({ owner, now, except })),

    count: () => read((now) => ({ count: Number(statements.count.get({ now })?.count) })),

    page: ({ cursor, entries } = {}) =>
      read((now) => {
        const after = Number(cursor ?? 0);
        const limit = PAGE_SIZE;
        const rows = statements.page.all({ after, now, limit }) as unknown as Row[];
        const records = undamaged(rows, (row) => withEntries(recordOf(row), entries));
        return { records, ...(rows.length === limit && { next: `${rows.at(-1)?.id}` }) };
      }),

    destroyPage({ cursor, operation }) {
      let until = Number(cursor);
      const ending = end(operation, (now) => {
        if (cursor === undefined) until = now;
        return statements.endOld.all({ until, now, limit: PAGE_SIZE });
      });
      // A repeat ends nothing, and may have asked for no instant.
      const next = (): string => `${Number.isNaN(until) ? clock() : until}`;
      return map(ending, (ended) => ({
        ended,
        ...(ended.length === PAGE_SIZE && { next: next() }),
      }));
    },

    close() {
      clearTimeout(sweeper);
      close();
    },
  };
}

const endedBy = (rows: readonly object[]): Ended[] =>
  (rows as EndedRow[])
    .filter((row) => row.public_id !== NOTHING_ENDED.public_id)
    .map(({ public_id, owners }) => ({
      publicId: public_id,
      // Ending a damaged session works.
      owners: new Set(undamaged([owners], readTexts).flat()),
    }));

const map = <A, B>(value: Awaitable<A>, change: (value: A) => B): Awaitable<B> =>
  value instanceof Promise ? value.then(change) : change(value as A);

const first = (ended: Awaitable<readonly Ended[]>): Awaitable<Ended | undefined> =>
  map(ended, ([one]) => one);
