import { getHeapStatistics } from "node:v8";
import { checkOptions, func, integer, type Rules } from "@lanai/connection/options";
import { SessionError, sessionLimitError } from "../errors.ts";
import type { IndexedStore } from "../indexed-store.ts";
import { PAGE_SIZE, type PagedStore } from "../paged-store.ts";
import {
  type AtOnce,
  type CommitResult,
  type Ended,
  type Key,
  type Loaded,
  type OwnerLimit,
  RENEWED_FOR,
  type SessionRecord,
} from "../store.ts";
import { answerTo, noOperations, remember, type Saved } from "./applied-operations.ts";
import { changed, holds, withEntries } from "./changed.ts";
import { commitsAtOnce } from "./commits-at-once.ts";
import {
  growthBy,
  isExpired,
  type Marker,
  type MemorySession,
  oldSessions,
  sessionIn,
  sessionsFrom,
} from "./memory-sessions.ts";
import { OwnerIndex } from "./owner-index.ts";
import { Recent } from "./recent.ts";
import { ShardedMap } from "./sharded-map.ts";
import { UseOrder } from "./use-order.ts";

/**
 * Options of `memoryStore`. If a limit is reached, sessions of visitors are evicted before those of
 * users.
 */
export interface MemoryStoreOptions {
  /** The greatest number of sessions. An integer from 1. Default: 1,000,000, about a gigabyte. */
  readonly maxSessions?: number;
  /**
   * The greatest number of bytes of data: the names and texts of all entries in UTF-8, without the
   * half kilobyte that a session takes besides. An integer from 1. Default: as much as keeps data
   * and sessions together within half of the heap that Node may use.
   */
  readonly maxBytes?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

const RULES: Rules<MemoryStoreOptions> = {
  maxSessions: integer(1),
  maxBytes: integer(1),
  clock: func,
};

/** Every call returns at once, and throws where another store would reject. */
export interface MemoryStore extends AtOnce<IndexedStore & PagedStore> {
  close(): void;
  /** The number of sessions held, including expired ones that no call has found since. */
  readonly size: number;
}

/** One of 1,024 shards each time: about a minute for the whole store. */
const SWEEP_INTERVAL = 60;
const MAX_OLD_KEYS = 8;
/** About as many bytes as a session takes besides its data. */
const OVERHEAD = 1_000;
/** The number of ends that are remembered, and of commits by public id. */
const REMEMBERED = 1024;
/** The number of entries that one step of a count reads. */
const COUNTED_AT_ONCE = 10_000;

const NO_VALUES: ReadonlyMap<string, string> = new Map();
const NO_OWNERS: ReadonlySet<string> = new Set();
const NONE: Loaded = Object.freeze({ status: "none" });
const RENEWED: Loaded & CommitResult = Object.freeze({ status: "renewed" });
const GONE: CommitResult = Object.freeze({ status: "gone" });

/**
 * Keeps sessions in this process: for development, tests, and apps that are one process and may
 * lose their sessions when it ends.
 *
 * It is bounded. When a new session, or one that grows, doesn't fit, others go for it: first
 * sessions without an owner, then those of visitors with one, then those of users who have signed
 * in, and among equals the one whose last use is longest ago. Creation, a touch, and getting or
 * losing such an owner are uses. An expired session goes before all others if it is the longest
 * unused of its kind. The session being written never goes.
 *
 * The last 8 keys of a renewed session are remembered, for {@link RENEWED_FOR} at most; they don't
 * count towards `maxSessions`. A session that has expired is gone at once; its memory is reclaimed
 * within about a minute, a small part of the store at a time.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range.
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  checkOptions("memoryStore", options, RULES);
  const { maxSessions = 1_000_000, maxBytes, clock = Date.now } = options;
  const most = maxBytes ?? Math.floor(getHeapStatistics().heap_size_limit / 2);
  /** The bytes that a session counts besides its data, if the limit is that of the heap. */
  const overhead = maxBytes === undefined ? OVERHEAD : 0;
  const sizeOf = maxBytes === undefined ? lengthOf : Buffer.byteLength;

  const entries = new ShardedMap<MemorySession | Marker>();
  const owned = new OwnerIndex<MemorySession>();
  const newOrder = () => new UseOrder<MemorySession>();
  /** Sessions by their worth: without an owner, with one, and of users who have signed in. */
  const orders = [newOrder(), newOrder(), newOrder()] as const;
  const ends = new Recent<readonly Ended[]>(REMEMBERED);
  /** The results of commits by public id: a repeat may not find the session by that owner any more. */
  const byPublicId = new Recent<Saved>(REMEMBERED);
  let size = 0;
  let bytes = 0;
  let sweeper: NodeJS.Timeout | undefined;
  let nextShard = 0;
  let closed = false;

  const orderOf = ({ owners }: SessionRecord) =>
    orders[owners.size === 0 ? 0 : isSignedIn(owners) ? 2 : 1];

  const end = (session: MemorySession): Ended => {
    const { publicId, owners } = session.record;
    entries.delete(session.key);
    for (const key of session.oldKeys ?? []) entries.delete(key);
    for (const owner of owners) owned.delete(owner, session);
    orderOf(session.record).remove(session);
    size -= 1;
    bytes -= session.bytes;
    return { publicId, owners };
  };

  /** Ends what is due, unless the operation is a repeat. */
  const endBy = (operation: string | undefined, due: () => readonly MemorySession[]) => {
    if (operation === undefined) return due().map(end);
    const ended = ends.get(operation) ?? due().map(end);
    ends.add(operation, ended);
    return ended;
  };

  const forget = (session: MemorySession, oldKey: Key) => {
    entries.delete(oldKey);
    const others = session.oldKeys?.filter((key) => key !== oldKey);
    session.oldKeys = others?.length ? others : undefined;
  };

  /** Ends, or refuses, what is too much of one owner's. */
  const limit = ({ owner, limit: most, overflow, onEnded }: OwnerLimit, publicId: string): void => {
    const others = findAll(owner).filter(({ record }) => record.publicId !== publicId);
    const tooMany = others.length + 1 - most;
    if (tooMany <= 0) return;
    if (overflow === "refuse") throw sessionLimitError(most);
    others.sort((a, b) => a.record.seenAt - b.record.seenAt);
    onEnded?.(others.slice(0, tooMany).map(end));
  };

  /** The living session that has a key or had it before. */
  const find = (key: Key, now: number): MemorySession | undefined => {
    const entry = entries.get(key);
    return entry && living(entry, key, now);
  };

  /** The session of an entry if it lives. What has expired and is met ends here. */
  const living = (
    entry: MemorySession | Marker,
    key: Key,
    now: number,
  ): MemorySession | undefined => {
    const session = sessionIn(entry);
    if (isExpired(session, now)) {
      end(session);
      return undefined;
    }
    if ("successor" in entry && entry.until <= now) {
      forget(session, key);
      return undefined;
    }
    return session;
  };

  const isBarred = (oldKey: Key): boolean => (entries.get(oldKey) as Marker).isBarred;

  const findAll = (owner: string): MemorySession[] => {
    const now = clock();
    const found: MemorySession[] = [];
    for (const session of owned.of(owner)) {
      if (isExpired(session, now)) end(session);
      else found.push(session);
    }
    return found;
  };

  const refuseLarge = (size: number) => {
    if (size <= most) return;
    throw new SessionError(
      "ERR_SESSION_TOO_LARGE",
      `memoryStore: a session of ${size} bytes is larger than maxBytes, ${most}`,
    );
  };

  const measure = (values: ReadonlyMap<string, string>) => {
    let sum = overhead;
    for (const [name, text] of values) sum += sizeOf(name) + sizeOf(text);
    refuseLarge(sum);
    return sum;
  };

  const makeRoom = (sessions: number, data: number, now: number, writing?: MemorySession) => {
    while (size + sessions > maxSessions || bytes + data > most) {
      const oldest = orders
        .map((order) => order.oldestBut(writing))
        .filter((session) => session !== undefined);
      const victim = oldest.find((session) => isExpired(session, now)) ?? oldest[0];
      if (!victim) return;
      end(victim);
    }
  };

  const bar = (session: MemorySession) => {
    for (const key of session.oldKeys ?? []) (entries.get(key) as Marker).isBarred = true;
  };

  const move = (session: MemorySession, key: Key, now: number, isBarred: boolean) => {
    if (isBarred) bar(session);
    session.oldKeys ??= [];
    if (session.oldKeys.push(session.key) > MAX_OLD_KEYS) {
      entries.delete(session.oldKeys.shift() as Key);
    }
    entries.set(session.key, { successor: session, until: now + RENEWED_FOR, isBarred });
    entries.set(key, session);
    session.key = key;
  };

  const replace = (session: MemorySession, record: SessionRecord) => {
    const before = session.record;
    const [from, to] = [orderOf(before), orderOf(record)];
    // Only a use, or a change of who has signed in, moves it in the order of eviction.
    if (from !== to || record.seenAt !== before.seenAt) {
      from.remove(session);
      to.add(session);
    }
    if (record.owners !== before.owners) {
      for (const owner of before.owners)
        if (!record.owners.has(owner)) owned.delete(owner, session);
      for (const owner of record.owners) if (!before.owners.has(owner)) owned.add(owner, session);
    }
    session.record = record;
  };

  const sweep = () => {
    const now = clock();
    for (const [key, entry] of entries.shards[nextShard] as Map<Key, MemorySession | Marker>) {
      if (!("successor" in entry)) {
        if (isExpired(entry, now)) end(entry);
      } else if (entry.until <= now) {
        forget(entry.successor, key);
      }
    }
    nextShard = (nextShard + 1) % entries.shards.length;
    if (size === 0) stopSweeper();
  };

  const startSweeper = () => {
    if (!closed) sweeper ??= setInterval(sweep, SWEEP_INTERVAL).unref();
  };

  const stopSweeper = () => {
    clearInterval(sweeper);
    sweeper = undefined;
  };

  const store: MemoryStore = {
    limitsOwners: true,

    get size() {
      return size;
    },

    load(key) {
      const now = clock();
      const session = find(key, now);
      if (!session) return NONE;
      return session.key === key ? { status: "live", record: session.record, now } : RENEWED;
    },

    create(key, { operation, publicId, values, owners, idle, absolute, limitOwner }) {
      const now = clock();
      const existing = entries.get(key);
      if (existing && sessionIn(existing).origin === operation) return key;
      if (existing && living(existing, key, now)) throw keyTaken();
      const data = measure(values);
      if (limitOwner) limit(limitOwner, publicId);
      makeRoom(1, data, now);

      const session: MemorySession = {
        key,
        record: {
          publicId,
          values: values.size === 0 ? NO_VALUES : new Map(values),
          owners: owners.size === 0 ? NO_OWNERS : new Set(owners),
          createdAt: now,
          startedAt: now,
          seenAt: now,
          idle,
          absolute,
        },
        bytes: data,
        oldKeys: undefined,
        origin: operation,
        applied: undefined,
        older: undefined,
        newer: undefined,
      };
      entries.set(key, session);
      orderOf(session.record).add(session);
      for (const owner of owners) owned.add(owner, session);
      size += 1;
      bytes += data;
      startSweeper();
      return key;
    },

    commit(key, change) {
      const entry = entries.get(key);
      if (!entry) return GONE;
      // Also of a session that the change itself has let expire.
      const { applied } = sessionIn(entry);
      const { operation } = change;
      const first = applied && operation !== "" && answerTo(applied, operation);
      if (first) return first;

      const now = clock();
      const session = living(entry, key, now);
      if (!session) return GONE;
      const { record } = session;
      const { renewTo } = change;
      const isOld = session.key !== key;
      if (isOld && (renewTo !== undefined || isBarred(key))) return RENEWED;
      if (!holds(change, record)) return isOld ? RENEWED : { status: "conflict", record };
      if (renewTo !== undefined && find(renewTo, now)) throw keyTaken();
      if (change.limitOwner) limit(change.limitOwner, record.publicId);

      const next = changed(record, change, now);
      if (next.values !== record.values) {
        const growth = growthBy(change, record.values, sizeOf);
        refuseLarge(session.bytes + growth);
        makeRoom(0, growth, now, session);
        session.bytes += growth;
        bytes += growth;
      }
      replace(session, next);
      if (renewTo !== undefined) move(session, renewTo, now, change.userChanged === true);

      const answer: Saved = isOld
        ? { status: "saved", key, renewed: true }
        : { status: "saved", key: session.key };
      if (operation !== "") {
        session.applied ??= noOperations();
        remember(session.applied, operation, answer);
      }
      return answer;
    },

    destroy(key, operation) {
      const due = () => [find(key, clock())].filter((session) => session !== undefined);
      return endBy(operation, due)[0];
    },

    list(owner, { entries: names } = {}) {
      return findAll(owner).map(({ record }) => withEntries(record, names));
    },

    commitByPublicId(owner, publicId, change) {
      const first = byPublicId.get(change.operation);
      if (first) return first;
      const session = findAll(owner).find(({ record }) => record.publicId === publicId);
      const result = session ? store.commit(session.key, change) : GONE;
      if (result.status === "saved") byPublicId.add(change.operation, result);
      return result;
    },

    destroyByPublicId(owner, publicId, operation) {
      const due = () => findAll(owner).filter(({ record }) => record.publicId === publicId);
      return endBy(operation, due)[0];
    },

    destroyAll(owner, { except, operation } = {}) {
      const due = () => findAll(owner).filter(({ record }) => record.publicId !== except);
      return endBy(operation, due);
    },

    count(cursor) {
      const { found, ...next } = sessionsFrom(entries, clock(), cursor, COUNTED_AT_ONCE);
      return { count: found.length, ...next };
    },

    page({ cursor, entries: names } = {}) {
      const { found, ...next } = sessionsFrom(entries, clock(), cursor, PAGE_SIZE);
      return { records: found.map(({ record }) => withEntries(record, names)), ...next };
    },

    destroyPage({ cursor, operation }) {
      const until = Number(cursor ?? clock());
      const ended = endBy(operation, () => oldSessions(orders, clock(), until, PAGE_SIZE));
      return { ended, ...(ended.length === PAGE_SIZE && { next: `${until}` }) };
    },

    close() {
      closed = true;
      stopSweeper();
    },
  };
  commitsAtOnce.add(store.commit);
  return store;
}

/** Nearly the bytes that a text takes in the heap, and faster than counting those of UTF-8. */
const lengthOf = (text: string): number => text.length;

function isSignedIn(owners: ReadonlySet<string>): boolean {
  for (const owner of owners) if (owner.startsWith("user:")) return true;
  return false;
}

const keyTaken = () => new SessionError("ERR_SESSION_KEY_TAKEN", "memoryStore: the key is in use");
