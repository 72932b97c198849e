import {
  checkOptions,
  checkValue,
  type Rules,
  required,
  withMethods,
} from "@lanai/connection/options";
import {
  type Change,
  type CommitResult,
  changed,
  type Ended,
  expiresAt,
  holds,
  type Key,
  type Loaded,
  REMEMBERED_FOR,
  RENEWED_FOR,
  SessionError,
  type SessionRecord,
  type Store,
} from "@lanai/session/store";
import {
  type Entry,
  type EntryJson,
  isMarker,
  isTombstone,
  type Living,
  readEntry,
  writeEntry,
} from "./entry.ts";
import { Turns } from "./turns.ts";

/**
 * A store made of one that can only get, set and destroy. Its type says what it can't do; the names
 * are the limits of `storeConformance` in `@lanai/session/testing`.
 *
 * - *Everywhere*: `index`, find sessions by owner.
 * - *Across processes*, where a store that only gets and sets can't compare: `final` (a writer
 *   beside a logout can bring the session back), `merge` (of two concurrent commits one can be
 *   lost), `once` (of two concurrent `pop`s, `update`s or renewals both can succeed). In one
 *   process, calls on one session take turns, and these laws hold.
 */
export interface CompatStore extends Store {
  readonly limits: {
    readonly everywhere: readonly ["index"];
    readonly acrossProcesses: readonly ["final", "merge", "once"];
  };
}

/** Options of `fromExpressStore`. */
export interface CompatStoreOptions {
  /**
   * The current time in milliseconds since the epoch: a wrapped store has no clock to ask, so the
   * clocks of an app's servers must agree. Default: `Date.now`.
   */
  readonly clock?: () => number;
}

/** The wrapped store, whichever its kind. */
export interface Backing {
  get(key: Key): Promise<unknown>;
  /** Keeps it for at least `ttl` milliseconds. */
  set(key: Key, stored: { lanai: EntryJson }, ttl: number): Promise<void>;
  destroy(key: Key): Promise<void>;
}

const LIMITS: CompatStore["limits"] = {
  everywhere: ["index"],
  acrossProcesses: ["final", "merge", "once"],
};

const REMEMBERED_OPERATIONS = 8;
/** A hundred years: what every store can count, where `Infinity` is not. */
const LONGEST = 100 * 365 * 86_400_000;

const NONE: Loaded = Object.freeze({ status: "none" });
const RENEWED: Loaded & CommitResult = Object.freeze({ status: "renewed" });
const GONE: CommitResult = Object.freeze({ status: "gone" });

/** The way in which a commit reached a session whose key was renewed. */
interface Followed {
  /** The key that the commit was given. */
  readonly from: Key;
  /** Whether a renewal on the way has changed the user. */
  readonly barred: boolean;
}

/** `wrapped` is the store itself: what is done with it elsewhere in the process takes turns too. */
export function compatStore(
  wrapped: object,
  backing: Backing,
  { clock = Date.now }: CompatStoreOptions,
): CompatStore {
  const turns = Turns.of(wrapped);

  const read = async (key: Key): Promise<Entry | undefined> => readEntry(await backing.get(key));

  const unlessOver = (entry: Entry | undefined): Entry | undefined =>
    entry && endOf(entry) > clock() ? entry : undefined;

  const save = (key: Key, entry: Entry): Promise<void> => {
    // A change may end its session, and must be found if it is sent again.
    const ttl = Math.max(endOf(entry) - clock(), RENEWED_FOR);
    return backing.set(key, { lanai: writeEntry(entry) }, Math.min(ttl, LONGEST));
  };

  const isAlive = async (key: Key): Promise<boolean> => {
    const entry = unlessOver(await read(key));
    if (entry === undefined || isTombstone(entry)) return false;
    return !isMarker(entry) || isAlive(entry.successor);
  };

  /** `followed`: how the session was reached by a key that it had before. */
  const commit = (key: Key, change: Change, followed?: Followed): Promise<CommitResult> =>
    turns.take(key, async () => {
      const entry = await read(key);
      if (!entry || isTombstone(entry)) return GONE;
      const saved: CommitResult =
        followed === undefined || change.renewTo !== undefined
          ? { status: "saved", key: change.renewTo ?? key }
          : { status: "saved", key: followed.from, renewed: true };
      if (!isMarker(entry) && entry.operations.includes(change.operation)) return saved;
      if (!unlessOver(entry)) return GONE;
      if (isMarker(entry)) {
        const { from, barred } = followed ?? { from: key, barred: false };
        return commit(entry.successor, change, { from, barred: barred || entry.barred === true });
      }

      const { record, operations } = entry;
      if (followed && (change.renewTo !== undefined || followed.barred)) return RENEWED;
      if (!holds(change, record)) return followed ? RENEWED : { status: "conflict", record };

      const next: Living = {
        record: changed(record, change, clock()),
        operations: [...operations, change.operation].slice(-REMEMBERED_OPERATIONS),
      };
      if (change.renewTo !== undefined) return renew(key, change.renewTo, next, change.userChanged);
      await save(key, next);
      return saved;
    });

  const renew = async (
    key: Key,
    renewTo: Key,
    next: Living,
    barred = false,
  ): Promise<CommitResult> => {
    const there = unlessOver(await read(renewTo));
    if (there && !isTombstone(there)) throw taken();
    await save(renewTo, next);
    await save(key, { successor: renewTo, until: clock() + RENEWED_FOR, barred });
    // Another process may have written under the old key at the same time: the last one counts.
    const left = unlessOver(await read(key));
    if (left && isMarker(left) && left.successor === renewTo) {
      return { status: "saved", key: renewTo };
    }
    await backing.destroy(renewTo);
    if (!left || isTombstone(left)) return GONE;
    return isMarker(left) ? RENEWED : { status: "conflict", record: left.record };
  };

  const destroy = (key: Key, operation?: string): Promise<Ended | undefined> =>
    turns.take(key, async () => {
      const entry = unlessOver(await read(key));
      if (!entry) return undefined;
      if (isTombstone(entry)) return entry.operation === operation ? entry.ended : undefined;
      // The successor first: if that fails, the old key still leads to it.
      const ended = isMarker(entry)
        ? await destroy(entry.successor, operation)
        : endedOf(entry.record);
      if (ended === undefined || operation === undefined) await backing.destroy(key);
      else await save(key, { operation, ended, until: clock() + REMEMBERED_FOR });
      return ended;
    });

  return {
    limits: LIMITS,

    async load(key) {
      const entry = unlessOver(await read(key));
      if (!entry || isTombstone(entry)) return NONE;
      if (!isMarker(entry)) return { status: "live", record: entry.record, now: clock() };
      return (await isAlive(entry.successor)) ? RENEWED : NONE;
    },

    create: (key, { operation, publicId, values, owners, idle, absolute }) =>
      turns.take(key, async () => {
        const entry = unlessOver(await read(key));
        if (entry && "operations" in entry && entry.operations.includes(operation)) return key;
        if (entry && !isTombstone(entry)) throw taken();
        const now = clock();
        const instants = { createdAt: now, startedAt: now, seenAt: now };
        const record = { publicId, values, owners, ...instants, idle, absolute };
        await save(key, { record, operations: [operation] });
        return key;
      }),

    commit: (key, change) => commit(key, change),
    destroy,
  };
}

const taken = () => new SessionError("ERR_SESSION_KEY_TAKEN", "the key is in use");

const endOf = (entry: Entry): number => ("record" in entry ? expiresAt(entry.record) : entry.until);

const endedOf = ({ publicId, owners }: SessionRecord): Ended => ({ publicId, owners });

/** @throws {TypeError} for what is no store, and for an option that doesn't exist or can't be. */
export function checkArguments<Options extends CompatStoreOptions>(
  owner: string,
  store: unknown,
  example: string,
  options: Options,
  rules: Rules<Options>,
): void {
  const accepted = `a store with get, set and destroy, such as ${example}`;
  const rule = required(withMethods(accepted, "get", "set", "destroy"));
  checkValue(owner, "the first argument", store, rule);
  checkOptions(owner, options, rules);
}
