import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
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

/** What a store can't do. See `storeConformance`. */
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

export interface OpenedStore {
  readonly store: Store;
  /** A second handle on the same data: another connection or process. Default: `store`. */
  readonly again?: Store;
  /** Moves the store's clock forward. */
  advance(ms: number): Awaitable<void>;
  close?(): Awaitable<void>;
}

export interface Case {
  /** Begins with the law. */
  readonly name: string;
  /** A store with one of these limits is excused. */
  readonly excused: readonly Limit[];
  run(at: Place): Promise<void>;
}

/** Where a case runs: a freshly opened store, and the few calls that most cases are made of. */
export class Place {
  readonly store: Store;
  readonly again: Store;
  readonly limits: readonly Limit[];
  readonly seed: number;
  readonly #opened: OpenedStore;

  constructor(opened: OpenedStore, limits: readonly Limit[], seed: number) {
    this.#opened = opened;
    this.store = opened.store;
    this.again = opened.again ?? opened.store;
    this.limits = limits;
    this.seed = seed;
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

  /** What both handles say of a key. */
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

const indexed = (store: Store): IndexedStore => {
  assert.ok(isIndexed(store), 'the store has no index: say so with limits: ["index"]');
  return store;
};

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

export const saved = (result: CommitResult): Key => {
  assert.equal(result.status, "saved");
  return (result as Extract<CommitResult, { status: "saved" }>).key;
};

export const conflict = (result: CommitResult): SessionRecord => {
  assert.equal(result.status, "conflict");
  return (result as Extract<CommitResult, { status: "conflict" }>).record;
};

/** Starts all calls at once, in their order, and waits for all answers. */
export const race = <T>(...calls: readonly (() => Awaitable<T>)[]): Promise<T[]> =>
  Promise.all(calls.map(async (call) => call()));

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
export const isAbout = (actual: number, expected: number, what: string): void => {
  assert.ok(
    actual >= expected - 50 && actual < expected + 4 * SECOND,
    `${what} is ${actual} ms, expected about ${expected} ms`,
  );
};
