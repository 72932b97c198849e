import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { type IndexedStore, isIndexed } from "../../indexed-store.ts";
import type {
  Awaitable,
  Change,
  CommitResult,
  Ended,
  Key,
  NewRecord,
  SessionRecord,
  Store,
} from "../../store.ts";

export const SECOND = 1000;
export const MINUTE: number = 60 * SECOND;
export const HOUR: number = 60 * MINUTE;

/** The abilities that a store can lack. See `storeConformance`. */
export type Limit =
  | "index"
  | "revoke"
  | "final"
  | "merge"
  | "once"
  | "renewed"
  | "taken"
  | "repeat"
  | "large"
  | "forever";

/** A store that was opened for one case, and what the suite needs to try it. */
export interface OpenedStore {
  readonly store: Store;
  /** A second handle on the same data: another connection or process. Default: `store`. */
  readonly again?: Store;
  /**
   * Moves the store's clock forward. A store that takes the time from an injected clock moves that. Where
   * the server's clock decides, every instant that is stored moves into the past by as much instead:
   * creation, start, last use, the end of a marker, of a remembered operation and of a TTL.
   */
  advance(ms: number): Awaitable<void>;
  /**
   * Makes the backend unreachable by both handles until `heal`: breaks their connections, and refuses new
   * ones. Without it the cases about outages pass, and have tested nothing.
   */
  cut?(): Awaitable<void>;
  /** Ends the outage. The suite then waits up to 20 s until both handles have found the backend again. */
  heal?(): Awaitable<void>;
  /**
   * Counts what the backend holds of this store, expired or not: rows, or keys, of every kind. Without it
   * the case about deleting what has expired passes, and has tested nothing.
   */
  size?(): Awaitable<number>;
  /**
   * Deletes what has expired, as the store's own timer does. Without it the suite waits up to 20 s for the
   * store to do so by itself: open it with a short interval.
   */
  sweep?(): Awaitable<void>;
  close?(): Awaitable<void>;
}

export interface Case {
  /** Begins with the law. */
  readonly name: string;
  /** A store with one of these limits is excused. */
  readonly excused: readonly Limit[];
  run(at: Place): Promise<void>;
}

/**
 * The environment of a case: a freshly opened store, and the few calls that most cases consist of.
 */
export class Place {
  readonly store: Store;
  readonly again: Store;
  readonly limits: readonly Limit[];
  readonly seed: number;
  /** The number of orders of two holders of one session that are tried. */
  readonly orders: number;
  readonly #opened: OpenedStore;

  constructor(opened: OpenedStore, limits: readonly Limit[], seed: number, orders: number) {
    this.#opened = opened;
    const publicIds = new Map<Key, string>();
    this.store = withPublicIds(opened.store, publicIds);
    this.again = opened.again ? withPublicIds(opened.again, publicIds) : this.store;
    this.limits = limits;
    this.seed = seed;
    this.orders = orders;
  }

  /** The two handles in turn, for the many calls of a race. */
  handle(n: number): Store {
    return n % 2 === 0 ? this.store : this.again;
  }

  get index(): IndexedStore {
    return indexed(this.store);
  }

  get indexAgain(): IndexedStore {
    return indexed(this.again);
  }

  async advance(ms: number): Promise<void> {
    await this.#opened.advance(ms);
  }

  /** The optional calls of the opened store. */
  get opened(): Pick<OpenedStore, "cut" | "heal" | "size" | "sweep"> {
    return this.#opened;
  }

  /** Ends an outage, and waits until both handles reach the backend again. */
  async heal(): Promise<void> {
    await this.#opened.heal?.();
    for (const store of [this.store, this.again]) {
      await eventually("the store is unreachable 20 s after heal()", async () => {
        await store.load(this.newKey());
        return true;
      });
    }
  }

  /** All keys begin alike, so that a session can be renewed to any of them. */
  newKey(): Key {
    return this.store.carriesData ? "" : `ab.${randomBytes(32).toString("base64url")}`;
  }

  async create(record: Partial<NewRecord> = {}): Promise<Key> {
    return this.store.create(this.newKey(), newRecord(record));
  }

  /** Commits through the first handle; anything but `saved` fails the case. */
  async commit(key: Key, changes: Partial<Change>): Promise<Key> {
    return saved(await this.store.commit(key, change(changes)));
  }

  /** Loads through the second handle; anything but `live` fails the case. */
  async load(key: Key): Promise<{ record: SessionRecord; now: number }> {
    const loaded = await this.again.load(key);
    assert.equal(loaded.status, "live");
    return loaded as Extract<typeof loaded, { status: "live" }>;
  }

  async values(key: Key): Promise<[string, string][]> {
    return sorted((await this.load(key)).record.values);
  }

  /** Returns the report of both handles on a key. */
  async status(key: Key): Promise<string> {
    const [one, other] = [await this.store.load(key), await this.again.load(key)];
    assert.equal(other.status, one.status, "two handles on one store disagree");
    return one.status;
  }

  /** The public names in an owner's list, as both handles see it. */
  async listed(owner: string): Promise<string[]> {
    const [one, other] = [await this.index.list(owner), await this.indexAgain.list(owner)];
    assert.deepEqual(publicIds(other), publicIds(one), "two handles on one store disagree");
    return publicIds(one);
  }
}

/** A handle whose changes carry the session's public id, as those of a session manager do. */
function withPublicIds(store: Store, publicIds: Map<Key, string>): Store {
  const calls: Pick<Store, "create" | "commit"> = {
    async create(key, record) {
      const created = await store.create(key, record);
      publicIds.set(created, record.publicId);
      return created;
    },
    async commit(key, change) {
      const publicId = publicIds.get(key);
      const result = await store.commit(key, { ...(publicId && { publicId }), ...change });
      if (result.status === "saved" && publicId) publicIds.set(result.key, publicId);
      return result;
    },
  };
  return new Proxy(store, {
    get(target, name) {
      if (name === "create" || name === "commit") return calls[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function indexed(store: Store): IndexedStore {
  assert.ok(isIndexed(store), 'the store has no index: say so with limits: ["index"]');
  return store;
}

export const newRecord = (record: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  values: new Map(),
  owners: new Set(),
  idle: 30 * MINUTE,
  absolute: 24 * HOUR,
  ...record,
});

export const change = (changes: Partial<Change> = {}): Change => ({
  operation: randomUUID(),
  ...changes,
});

/** A take of one entry, as `session.pop` does it. */
export const pop = (name: string, text: string): Change =>
  change({ delete: new Set([name]), expect: new Map([[name, text]]) });

/** An owner that no other case has used. */
export const newOwner = (): string => `user:${randomUUID()}`;

export function saved(result: CommitResult): Key {
  assert.equal(result.status, "saved");
  return (result as Extract<CommitResult, { status: "saved" }>).key;
}

export function conflict(result: CommitResult): SessionRecord {
  assert.equal(result.status, "conflict");
  return (result as Extract<CommitResult, { status: "conflict" }>).record;
}

/**
 * Starts all calls at once, in their order, and waits until all are over, also when one fails: nothing
 * goes on beside the next case. The signal aborts at the first failure, for a call of many attempts.
 *
 * @throws what the first call to fail has thrown.
 */
export async function race<T>(
  ...calls: readonly ((signal: AbortSignal) => Awaitable<T>)[]
): Promise<T[]> {
  const failure = new AbortController();
  const results = await Promise.allSettled(
    calls.map(async (call) => {
      try {
        return await call(failure.signal);
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    }),
  );
  failure.signal.throwIfAborted();
  return results.map((result) => (result as PromiseFulfilledResult<Awaited<T>>).value);
}

/**
 * Tries a condition every 20 ms until it returns `true`, for 20 s at most: whatever rejects within
 * that time is tried again.
 *
 * @throws AssertionError with the message, and what the last try has thrown.
 */
export async function eventually(
  message: string | (() => string),
  holds: () => Awaitable<boolean>,
): Promise<void> {
  const until = performance.now() + 20 * SECOND;
  let cause: unknown;
  do {
    try {
      if (await holds()) return;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await wait(20);
  } while (performance.now() < until);
  const text = typeof message === "string" ? message : message();
  throw new assert.AssertionError({ message: cause ? `${text}: ${String(cause)}` : text });
}

/** Asserts that all `of` them are there. A failure's message has the number that was counted. */
export const countsAll = (there: number, of: number, what: string): void =>
  assert.equal(there, of, `${of - there} of ${of} ${what}`);

/** The numbers from 0 on, `count` of them. */
export const times = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n));

export const sorted = (values: ReadonlyMap<string, string>): [string, string][] =>
  [...values].sort(([a], [b]) => (a < b ? -1 : 1));

export const publicIds = (sessions: readonly Ended[]): string[] =>
  sessions.map(({ publicId }) => publicId).sort();

export const failsWith = (code: string, call: () => Awaitable<unknown>): Promise<void> =>
  assert.rejects(
    async () => call(),
    (error: { code?: unknown }) => {
      assert.equal(error.code, code);
      return true;
    },
  );

/** Instants are a real server's, so an age may be a little more than the time that was advanced. */
export function isAbout(actual: number, expected: number, what: string): void {
  assert.ok(
    actual >= expected - 50 && actual < expected + 20 * SECOND,
    `${what} is ${actual} ms, expected about ${expected} ms`,
  );
}
