import {
  type Change,
  type CommitResult,
  type Ended,
  type IndexedStore,
  type Key,
  knownOptions,
  type Loaded,
  type NewRecord,
  SessionError,
  type SessionRecord,
} from "@lanai/session";
import { Batch } from "./batch.ts";
import { Connection, type RedisClient, withoutSecrets } from "./connection.ts";
import { DESTROY, ENLIST_ONE, FORGET, LIST, LOAD, WRITE } from "./scripts.ts";

export interface RedisStoreOptions {
  /**
   * What the store's keys begin with, so that several apps can share one Redis. No braces: on a
   * cluster they say where a key is. Default: `lanai:`.
   */
  readonly prefix?: string;
  /**
   * How many answers of Redis may be waited for. While it hangs, what comes beyond is refused at
   * once, and doesn't fill this process's memory. An integer from 100. Default: 10,000.
   */
  readonly maxWaiting?: number;
}

export interface RedisStore extends IndexedStore {
  load(key: Key): Promise<Loaded>;
  create(key: Key, record: NewRecord): Promise<Key>;
  commit(key: Key, change: Change): Promise<CommitResult>;
  destroy(key: Key): Promise<Ended | undefined>;
  list(owner: string): Promise<readonly SessionRecord[]>;
  destroyByPublicId(owner: string, publicId: string): Promise<Ended | undefined>;
  destroyAll(owner: string, options?: { except?: string }): Promise<readonly Ended[]>;
}

/** How many sessions are asked for at once. */
const AT_ONCE = 100;
/** How many in one command: with more, Redis and this process would wait for each other in turn. */
const IN_ONE = 16;
/** Owners may change while they are listed: then it is tried again. */
const ATTEMPTS = 16;

const NO_OWNERS: ReadonlySet<string> = new Set();

/**
 * Keeps sessions in Redis 6.2 or later (or Valkey, which has the same commands and is not tested),
 * by a client of ioredis that the app has made: standalone, by Sentinel, or a cluster.
 *
 * A load, a create, a commit and a destroy are one round trip each. On a cluster a change that gives
 * a session an owner takes three; and one of the others, about once in the session's idle time.
 *
 * Expiry is Redis's own, by its clock. Its `maxmemory-policy` must be `noeviction`: any other ends
 * sessions that are in use, and takes owners' lists away.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range.
 */
export const redisStore = (redis: RedisClient, options: RedisStoreOptions = {}): RedisStore => {
  checkOptions(redis, options);
  const { prefix = "lanai:", maxWaiting = 10_000 } = options;
  const connection = new Connection(redis, maxWaiting);

  const listOf = (owner: string) => `${prefix}owner:${owner}`;

  /** Takes three steps if owners' lists are in other slots: tried, listed, done. */
  const write = async (name: string, args: readonly string[], renewTo?: string) => {
    const keys = renewTo === undefined ? [prefix + name] : [prefix + name, prefix + renewTo];
    let enlisted = connection.isCluster ? "" : "here";
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const reply = await connection.run(WRITE, keys, name, enlisted, ...args);
      const [status, text = "", publicId = ""] = reply as [string, string?, string?];
      if (status === "taken") throw keyTaken();
      if (status !== "enlist") return reply as Written;
      enlisted = text;
      const [till, ...owners] = JSON.parse(text) as [number, ...string[]];
      await Promise.all(
        owners.map((owner) =>
          connection.run(ENLIST_ONE, [listOf(owner)], tagOf(name) + publicId, `${till}`),
        ),
      );
    }
    throw new Error("redisStore: the owners of a session changed again and again");
  };

  /** The names of an owner's sessions; some may have ended, or have another owner by now. */
  const membersOf = async (owner: string) =>
    (await connection.run(LIST, [listOf(owner)])) as string[];

  const loadAll = async (names: readonly string[]): Promise<readonly Answer[]> => {
    const keys = names.map((name) => prefix + name);
    const reply = await connection.run(LOAD, keys, ...names);
    const [now, ...answers] = reply as [number, ...Answer["fields"][]];
    // A client with `stringNumbers` makes a string of the number.
    return answers.map((fields) => ({ fields, now: Number(now) }));
  };

  const loadOne = async (name: string) => (await loadAll([name]))[0] as Answer;
  const loads = new Batch(IN_ONE, loadAll);

  const find = async (name: string) => {
    // One command reaches one slot of a cluster: there the sessions are asked for one by one.
    const { fields, now } = connection.isCluster ? await loadOne(name) : await loads.get(name);
    if (!Array.isArray(fields)) throw withoutSecrets(fields);
    return { record: recordOf(fields), isMoved: fields.at(-2) === ">", now };
  };

  const end = async (name: string, owner?: string): Promise<Ended | undefined> => {
    const args = owner === undefined ? [name] : [name, owner];
    const reply = await connection.run(DESTROY, [prefix + name], ...args);
    if (!reply) return undefined;
    const [publicId, owned] = reply as [string, string];
    const ended = { publicId, owners: ownersOf(owned) };
    // Only tidiness: the lists are asked for the living, and forget by themselves in time.
    for (const one of ended.owners) {
      connection.run(FORGET, [listOf(one)], tagOf(name) + publicId).catch(() => {});
    }
    return ended;
  };

  return {
    async load(key) {
      const { record, isMoved, now } = await find(nameOf(key));
      if (!record) return { status: "none" };
      return isMoved ? { status: "renewed" } : { status: "live", record, now };
    },

    async create(key, { operation, publicId, values, owners, idle, absolute }) {
      const change = { operation, set: values, addOwners: owners, idle, absolute };
      await write(nameOf(key), changeArgs(change, publicId));
      return key;
    },

    async commit(key, change) {
      const renewTo = change.renewTo === undefined ? undefined : nameOf(change.renewTo);
      const [status, detail] = await write(nameOf(key), changeArgs(change), renewTo);
      switch (status) {
        case "saved":
          return { status, key: keyOf(detail) };
        case "conflict":
          return { status, record: recordOf(detail) as SessionRecord };
        default:
          return { status };
      }
    },

    destroy: (key) => end(nameOf(key)),

    async list(owner) {
      const found: SessionRecord[] = [];
      await inTurns(await membersOf(owner), async (member) => {
        const { record } = await find(handleOf(member));
        if (record?.owners.has(owner)) found.push(record);
      });
      return found;
    },

    async destroyByPublicId(owner, publicId) {
      const members = await membersOf(owner);
      const member = members.find((it) => publicIdOf(it) === publicId);
      return member === undefined ? undefined : end(handleOf(member), owner);
    },

    async destroyAll(owner, { except } = {}) {
      const ended: Ended[] = [];
      const members = await membersOf(owner);
      const due = members.filter((member) => publicIdOf(member) !== except);
      await inTurns(due, async (member) => {
        const session = await end(handleOf(member), owner);
        if (session) ended.push(session);
      });
      return ended;
    },
  };
};

interface Answer {
  readonly fields: string[] | Error;
  readonly now: number;
}

type Written =
  | readonly ["saved", string]
  | readonly ["conflict", string[]]
  | readonly ["gone" | "renewed", undefined?];

// The names of a session: `ab.…` is its key, `{ab}.…` the same in Redis, `{ab}:public` its handle
// there, and `abpublic` a member of its owners' lists.
const nameOf = (key: Key) => `{${key.slice(0, 2)}}${key.slice(2)}`;
const keyOf = (name: string): Key => name.slice(1, 3) + name.slice(4);
const tagOf = (name: string) => name.slice(1, 3);
const handleOf = (member: string) => `{${member.slice(0, 2)}}:${member.slice(2)}`;
const publicIdOf = (member: string) => member.slice(2);

/** What a change is to the script, behind the key and the lists. */
const changeArgs = (change: Change, publicId = ""): string[] => {
  const { operation, set, delete: deleted, expect, touch, restart, idle, absolute } = change;
  const { renewTo, addOwners, removeOwners } = change;
  const present: string[] = [];
  const absent: string[] = [];
  for (const [name, text] of expect ?? []) {
    if (text === undefined) absent.push(name);
    else present.push(name, text);
  }
  const args = [operation, publicId, touch ? "1" : "", restart ? "1" : ""];
  args.push(idle === undefined ? "" : `${idle}`, absolute === undefined ? "" : `${absolute}`);
  args.push(renewTo === undefined ? "" : nameOf(renewTo));
  const entries = set ? [...set].flat() : [];
  for (const list of [entries, deleted, present, absent, addOwners, removeOwners]) {
    const items = list ? [...list] : [];
    args.push(`${items.length}`, ...items);
  }
  return args;
};

const recordOf = (fields: readonly string[]): SessionRecord | undefined => {
  let state: string | undefined;
  let owners = NO_OWNERS;
  let isOurs = fields.length === 0;
  const values = new Map<string, string>();
  for (let n = 0; n < fields.length; n += 2) {
    const [name, text] = [fields[n] as string, fields[n + 1] as string];
    switch (name) {
      case "m":
        state = text;
        break;
      case "o":
        owners = ownersOf(text);
        break;
      case "r":
      case ">":
        isOurs = true;
        break;
      default:
        values.set(name.slice(1), text);
    }
  }
  if (!isOurs) throw new Error("redisStore: a session's key holds something else");
  if (state === undefined) return undefined;
  const [createdAt, startedAt, seenAt, idle, absolute, ...publicId] = state.split(" ");
  return {
    publicId: publicId.join(" "),
    values,
    owners,
    createdAt: Number(createdAt),
    startedAt: Number(startedAt),
    seenAt: Number(seenAt),
    idle: Number(idle),
    absolute: Number(absolute),
  };
};

const ownersOf = (json: string): ReadonlySet<string> => {
  const [, ...owners] = JSON.parse(json) as [number, ...string[]];
  return new Set(owners);
};

const inTurns = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  for (let n = 0; n < items.length; n += AT_ONCE) {
    await Promise.all(items.slice(n, n + AT_ONCE).map(work));
  }
};

const keyTaken = () => new SessionError("ERR_SESSION_KEY_TAKEN", "redisStore: the key is in use");

const checkOptions = (redis: RedisClient, options: RedisStoreOptions): void => {
  if (typeof redis?.call !== "function" || typeof redis.isCluster !== "boolean") {
    throw new TypeError("redisStore: the first argument must be a Redis or a Cluster of ioredis");
  }
  knownOptions("redisStore", options, ["prefix", "maxWaiting"]);
  const { prefix = "", maxWaiting = AT_ONCE } = options;
  if (typeof prefix !== "string" || /[{}]/.test(prefix)) {
    throw new TypeError(
      `redisStore: prefix must be a string without braces, got ${JSON.stringify(prefix)}`,
    );
  }
  if (!Number.isSafeInteger(maxWaiting) || maxWaiting < AT_ONCE) {
    throw new RangeError(
      `redisStore: maxWaiting must be an integer from ${AT_ONCE}, got ${maxWaiting}`,
    );
  }
};
