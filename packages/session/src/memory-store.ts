import { changed, holds } from "./changed.ts";
import { SessionError } from "./errors.ts";
import type { IndexedStore } from "./indexed-store.ts";
import { Recent } from "./internal/recent.ts";
import { ShardedMap } from "./internal/sharded-map.ts";
import { type Placed, UseOrder } from "./internal/use-order.ts";
import { knownOptions } from "./known-options.ts";
import {
  type Change,
  type CommitResult,
  type Ended,
  expiresAt,
  type Key,
  type Loaded,
  type NewRecord,
  RENEWED_FOR,
  type SessionRecord,
} from "./store.ts";

export interface MemoryStoreOptions {
  /** How many sessions are kept at most. An integer from 1. Default: 1,000,000, about a gigabyte. */
  readonly maxSessions?: number;
  /**
   * How many bytes of data are kept at most: the names and texts of all entries in UTF-8, without
   * the half kilobyte that a session takes besides. An integer from 1. Default: no limit.
   */
  readonly maxBytes?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

/** Every call answers at once, and throws where another store would reject. */
export interface MemoryStore extends IndexedStore {
  load(key: Key): Loaded;
  create(key: Key, record: NewRecord): Key;
  commit(key: Key, change: Change): CommitResult;
  destroy(key: Key): Ended | undefined;
  list(owner: string): readonly SessionRecord[];
  destroyByPublicId(owner: string, publicId: string): Ended | undefined;
  destroyAll(owner: string, options?: { except?: string }): readonly Ended[];
  close(): void;
  /** How many sessions are held, those included that have expired and were not met since. */
  readonly size: number;
}

/** A live session. The object stays the same through renewals; its record is replaced. */
interface Session extends Placed<Session> {
  key: Key;
  record: SessionRecord;
  bytes: number;
  /** The keys it had in the last minute, the latest last; made when there is one. */
  oldKeys: Key[] | undefined;
}

/** Under the old key of a renewed session. It goes when the session does. */
interface Marker {
  readonly successor: Session;
  readonly until: number;
}

/** One of 1,024 shards each time: about a minute for the whole store. */
const SWEEP_INTERVAL = 60;
const MAX_OLD_KEYS = 8;
const REMEMBERED_OPERATIONS = 1024;

type Saved = Extract<CommitResult, { status: "saved" }>;

const NO_VALUES: ReadonlyMap<string, string> = new Map();
const NO_OWNERS: ReadonlySet<string> = new Set();
const NONE: Loaded = Object.freeze({ status: "none" });
const RENEWED: Loaded & CommitResult = Object.freeze({ status: "renewed" });
const GONE: CommitResult = Object.freeze({ status: "gone" });

/**
 * Keeps sessions in this process: for development, tests, and apps that are one process and may lose
 * their sessions when it ends.
 *
 * It is bounded. When a new session, or one that grows, doesn't fit, others go for it: first
 * sessions without an owner (nobody has signed in), then those with one, and among equals the one
 * whose last use is longest ago. Creation, a touch, and getting the first or losing the last owner
 * are uses. An expired session goes before all others if it is the longest unused of its kind. The
 * session being written never goes.
 *
 * Of a renewed session the last 8 keys are remembered, for {@link RENEWED_FOR} at most; they don't
 * count towards `maxSessions`. A session that has expired is gone at once; its memory is reclaimed
 * within about a minute, a small part of the store at a time.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range.
 */
export const memoryStore = (options: MemoryStoreOptions = {}): MemoryStore => {
  checkOptions(options);
  const { maxSessions = 1_000_000, maxBytes = Infinity, clock = Date.now } = options;

  const entries = new ShardedMap<Session | Marker>();
  const sessionsOf = new ShardedMap<Set<Session>>();
  const anonymous = new UseOrder<Session>();
  const owned = new UseOrder<Session>();
  const answers = new Recent<Saved>(REMEMBERED_OPERATIONS);
  let size = 0;
  let bytes = 0;

  let sweeper: NodeJS.Timeout | undefined;
  let nextShard = 0;
  let closed = false;

  const orderOf = ({ owners }: SessionRecord) => (owners.size === 0 ? anonymous : owned);

  const index = (session: Session, owner: string) => {
    const sessions = sessionsOf.get(owner);
    if (sessions) sessions.add(session);
    else sessionsOf.set(owner, new Set([session]));
  };

  const unindex = (session: Session, owner: string) => {
    const sessions = sessionsOf.get(owner);
    sessions?.delete(session);
    if (sessions?.size === 0) sessionsOf.delete(owner);
  };

  const end = (session: Session): Ended => {
    const { publicId, owners } = session.record;
    entries.delete(session.key);
    for (const key of session.oldKeys ?? []) entries.delete(key);
    for (const owner of owners) unindex(session, owner);
    orderOf(session.record).remove(session);
    size -= 1;
    bytes -= session.bytes;
    return { publicId, owners };
  };

  const forget = (session: Session, oldKey: Key) => {
    entries.delete(oldKey);
    const others = session.oldKeys?.filter((key) => key !== oldKey);
    session.oldKeys = others?.length ? others : undefined;
  };

  /** The living session that has a key or had it before. What has expired and is met ends here. */
  const find = (key: Key, now: number): Session | undefined => {
    const entry = entries.get(key);
    if (!entry) return undefined;
    const session = "successor" in entry ? entry.successor : entry;
    if (isOver(session, now)) {
      end(session);
      return undefined;
    }
    if ("successor" in entry && entry.until <= now) {
      forget(session, key);
      return undefined;
    }
    return session;
  };

  const findAll = (owner: string): Session[] => {
    const now = clock();
    const found: Session[] = [];
    for (const session of sessionsOf.get(owner) ?? []) {
      if (isOver(session, now)) end(session);
      else found.push(session);
    }
    return found;
  };

  const refuseTaken = (key: Key, now: number) => {
    if (find(key, now)) {
      throw new SessionError("ERR_SESSION_KEY_TAKEN", "memoryStore: the key is in use");
    }
  };

  const measure = (values: ReadonlyMap<string, string>) => {
    if (maxBytes === Infinity) return 0;
    let sum = 0;
    for (const [name, text] of values) sum += Buffer.byteLength(name) + Buffer.byteLength(text);
    if (sum > maxBytes) {
      throw new SessionError(
        "ERR_SESSION_TOO_LARGE",
        `memoryStore: a session of ${sum} bytes is larger than maxBytes, ${maxBytes}`,
      );
    }
    return sum;
  };

  const makeRoom = (sessions: number, data: number, now: number, writing?: Session) => {
    while (size + sessions > maxSessions || bytes + data > maxBytes) {
      const signedIn = owned.oldestBut(writing);
      const victim =
        signedIn && isOver(signedIn, now) ? signedIn : (anonymous.oldestBut(writing) ?? signedIn);
      if (!victim) return;
      end(victim);
    }
  };

  const move = (session: Session, key: Key, now: number) => {
    session.oldKeys ??= [];
    if (session.oldKeys.push(session.key) > MAX_OLD_KEYS) {
      entries.delete(session.oldKeys.shift() as Key);
    }
    entries.set(session.key, { successor: session, until: now + RENEWED_FOR });
    entries.set(key, session);
    session.key = key;
  };

  const replace = (session: Session, record: SessionRecord) => {
    const before = session.record;
    const [from, to] = [orderOf(before), orderOf(record)];
    if (from !== to || record.seenAt !== before.seenAt) {
      from.remove(session);
      to.add(session);
    }
    if (record.owners !== before.owners) {
      for (const owner of before.owners) if (!record.owners.has(owner)) unindex(session, owner);
      for (const owner of record.owners) if (!before.owners.has(owner)) index(session, owner);
    }
    session.record = record;
  };

  const sweep = () => {
    const now = clock();
    for (const [key, entry] of entries.shards[nextShard] as Map<Key, Session | Marker>) {
      if (!("successor" in entry)) {
        if (isOver(entry, now)) end(entry);
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

  return {
    get size() {
      return size;
    },

    load(key) {
      const now = clock();
      const session = find(key, now);
      if (!session) return NONE;
      return session.key === key ? { status: "live", record: session.record, now } : RENEWED;
    },

    create(key, { operation, publicId, values, owners, idle, absolute }) {
      const first = answers.get(operation);
      if (first) return first.key;

      const now = clock();
      refuseTaken(key, now);
      const data = measure(values);
      makeRoom(1, data, now);

      const session: Session = {
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
        older: undefined,
        newer: undefined,
      };
      entries.set(key, session);
      orderOf(session.record).add(session);
      for (const owner of owners) index(session, owner);
      size += 1;
      bytes += data;
      startSweeper();

      answers.add(operation, { status: "saved", key });
      return key;
    },

    commit(key, change) {
      const first = answers.get(change.operation);
      if (first) return first;

      const now = clock();
      const session = find(key, now);
      if (!session) return GONE;
      const { record } = session;
      const { renewTo } = change;
      if (renewTo !== undefined && session.key !== key) return RENEWED;
      if (!holds(change, record)) return { status: "conflict", record };
      if (renewTo !== undefined) refuseTaken(renewTo, now);

      const next = changed(record, change, now);
      if (next.values !== record.values) {
        const growth = measure(next.values) - session.bytes;
        makeRoom(0, growth, now, session);
        session.bytes += growth;
        bytes += growth;
      }
      replace(session, next);
      if (renewTo !== undefined) move(session, renewTo, now);

      const answer: Saved = { status: "saved", key: session.key };
      answers.add(change.operation, answer);
      return answer;
    },

    destroy(key) {
      const session = find(key, clock());
      return session && end(session);
    },

    list(owner) {
      return findAll(owner).map((session) => session.record);
    },

    destroyByPublicId(owner, publicId) {
      const session = findAll(owner).find(({ record }) => record.publicId === publicId);
      return session && end(session);
    },

    destroyAll(owner, { except } = {}) {
      return findAll(owner)
        .filter(({ record }) => record.publicId !== except)
        .map(end);
    },

    close() {
      closed = true;
      stopSweeper();
    },
  };
};

const isOver = (session: Session, now: number) => expiresAt(session.record) <= now;

const checkOptions = (options: MemoryStoreOptions) => {
  knownOptions("memoryStore", options, ["maxSessions", "maxBytes", "clock"]);
  for (const name of ["maxSessions", "maxBytes"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new RangeError(`memoryStore: ${name} must be an integer from 1, got ${String(value)}`);
    }
  }
  if (options.clock !== undefined && typeof options.clock !== "function") {
    throw new TypeError(`memoryStore: clock must be a function, got ${typeof options.clock}`);
  }
};
