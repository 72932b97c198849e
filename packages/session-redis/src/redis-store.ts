import {
  type Async,
  type Change,
  type CommitResult,
  type Ended,
  type IndexedStore,
  type Key,
  type OwnerLimit,
  type PagedStore,
  REMEMBERED_FOR,
  retryLater,
  SessionError,
  type SessionRecord,
  sessionLimitError,
  undamaged,
} from "@lanai/session/store";
import { Batch } from "./batch.ts";
import { BoundedClient, type RedisClient, withoutSecrets } from "./bounded-client.ts";
import { checkArguments, type RedisStoreOptions } from "./options.ts";
import { pagesOf } from "./pages.ts";
import { isPlace, type Place, readPlaces, textOf } from "./places.ts";
import { LOAD, LOAD_SOME } from "./read-scripts.ts";
import { damaged, isDamaged, ownersIn, parsed, recordOf, refuseDamaged } from "./rows.ts";
import { DESTROY, ENDED, ENLIST_ONE, FORGET, LIST, ONCE, RESERVE, WRITE } from "./scripts.ts";
import { inTurns, isTexts, partsOf } from "./turns.ts";

/** A store in Redis or Valkey: standalone, behind Sentinel, or a cluster. */
export interface RedisStore extends Async<IndexedStore & PagedStore> {}

/**
 * The number of keys in one command: with more, Redis and this process would wait for each other in
 * turn.
 */
const IN_ONE = 16;
/** Owners may change while they are listed: then it is tried again. */
const ATTEMPTS = 16;

/** The time for which a place that a sign-in has reserved on a cluster counts, in milliseconds. */
const RESERVED_FOR = 10_000;

const NOT_FOUND = { record: undefined, isMoved: false };

/**
 * Keeps sessions in Redis 6.2 or later (or Valkey, which has the same commands and is not tested),
 * by a client of ioredis that the app has made: standalone, by Sentinel, or a cluster.
 *
 * A load, a create, a commit and a destroy are one round trip each. On a cluster a change that
 * gives a session an owner takes three; and one of the others, about once in the session's idle
 * time.
 *
 * Expiry is Redis's own, by its clock. Its `maxmemory-policy` must be `noeviction`: any other ends
 * sessions that are in use, and removes owners' lists.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range.
 */
export function redisStore(redis: RedisClient, options: RedisStoreOptions = {}): RedisStore {
  checkArguments(redis, options);
  const { prefix = "lanai:", maxWaiting = 10_000 } = options;
  const client = new BoundedClient(redis, maxWaiting);

  const run: BoundedClient["run"] = async (...call) => {
    try {
      return await client.run(...call);
    } catch (error) {
      throw failure(error);
    }
  };

  const listOf = (owner: string) => `${prefix}owner:${owner}`;

  /**
   * Takes three steps if owners' lists are in other slots: tried, listed, done. If the sessions of an
   * owner are limited, the second step also reserves a place, and ends what is too much.
   */
  const write = async (
    name: string,
    args: readonly string[],
    { operation, renewTo, limitOwner }: Pick<Change, "operation" | "renewTo" | "limitOwner">,
  ): Promise<WriteReply> => {
    const keys = [prefix + name];
    if (renewTo !== undefined) keys.push(prefix + nameOf(renewTo));
    let enlisted = client.isCluster ? "" : "here";
    let place: Place | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const reply = (await run(WRITE, keys, name, enlisted, ...args).catch((error) => {
        if (limitOwner) tellLate(limitOwner, operation);
        throw error;
      })) as WriteReply | NoWriteReply;
      if (reply[0] !== "enlist") {
        if (place) giveBack(place);
        if (reply[0] === "taken") throw keyTaken();
        if (reply[0] === "damaged") throw damaged();
        if (reply[0] === "full") throw sessionLimitError(limitOwner?.limit ?? 0);
        if (reply[0] === "saved") tell(limitOwner, reply[3]);
        return reply;
      }
      const [, text, publicId] = reply;
      enlisted = text;
      const [till, , ...owners] = JSON.parse(text) as [number, number, ...string[]];
      const member = tagOf(name) + publicId;
      await Promise.all(
        owners.map(async (owner) => {
          if (owner !== limitOwner?.owner) {
            return run(ENLIST_ONE, [listOf(owner)], member, `${till}`);
          }
          place = { owner, member, operation };
          return makeRoom(place, till, limitOwner);
        }),
      );
    }
    throw new Error("redisStore: the owners of a session changed again and again");
  };

  /** Reserves a place for a sign-in on a cluster, after those that have reserved one before. */
  const makeRoom = async (place: Place, till: number, limitOwner: OwnerLimit): Promise<void> => {
    const { owner, member, operation } = place;
    const list = [listOf(owner)];
    const reply = await run(RESERVE, list, member, `${till}`, textOf(place));
    const { members, places, now } = readPlaces(owner, reply as string[]);
    const known = new Set([...members, ...places.map((other) => other.member)]);
    known.delete(member);
    if (known.size < limitOwner.limit) return;
    const others: { member: string; seenAt: number; signIn?: string }[] = [];
    await inTurns(members, async (other) => {
      if (other === member) return;
      const found = await findOf(owner, other);
      if (found) others.push({ member: other, seenAt: found === "damaged" ? 0 : found.seenAt });
    });
    const living = new Set(others.map((other) => other.member));
    for (const { reservedAt, ...other } of places) {
      if (other.member === member || living.has(other.member)) continue;
      // The newest of all: their sessions begin after those that live already.
      if (reservedAt > now - RESERVED_FOR) {
        others.push({ member: other.member, seenAt: Infinity, signIn: other.operation });
        continue;
      }
      // Whoever has reserved it is gone, or too late from now on.
      const late = await end(handleOf(other.member), operation, owner, other.operation);
      tellAll(limitOwner, late ? [late] : []);
      giveBack(other);
    }
    const excess = others.length + 1 - limitOwner.limit;
    if (excess <= 0) return;
    if (limitOwner.overflow === "refuse") {
      giveBack(place);
      throw sessionLimitError(limitOwner.limit);
    }
    const due = others.sort((a, b) => a.seenAt - b.seenAt || 0).slice(0, excess);
    const ended: Ended[] = [];
    await inTurns(due, async (other) => {
      const one = await end(handleOf(other.member), operation, owner, other.signIn);
      if (one) ended.push(one);
    });
    tellAll(limitOwner, ended);
  };

  /** Asks what a sign-in has ended whose answer didn't come. */
  const tellLate = (limitOwner: OwnerLimit, operation: string): void => {
    const ask = () => client.run(ENDED, [`${prefix}ended:${operation}`]);
    const asking = ask().catch(() => retryLater(ask));
    void asking.then((json) => tell(limitOwner, json as string | null | undefined));
  };

  /** Gives a place back without waiting: one that isn't given back counts for as long as any. */
  const giveBack = (place: Place): void => {
    client.run(FORGET, [listOf(place.owner)], textOf(place)).catch(() => {});
  };

  /** The names of an owner's sessions; some may have ended, or have another owner by now. */
  const membersOf = async (owner: string) => {
    const members = (await run(LIST, [listOf(owner)])) as string[];
    return members.filter((member) => !isPlace(member));
  };

  const answersOf = (reply: unknown): readonly Answer[] => {
    const [now, ...answers] = reply as [number, ...Answer["fields"][]];
    // A client with `stringNumbers` makes a string of the number.
    return answers.map((fields) => ({ fields, now: Number(now) }));
  };

  const loadAll = async (names: readonly string[]): Promise<readonly Answer[]> => {
    const keys = names.map((name) => prefix + name);
    return answersOf(await client.run(LOAD, keys, ...names));
  };

  const loadOne = async (name: string) => (await loadAll([name]))[0] as Answer;
  const loads = new Batch(IN_ONE, loadAll);

  const find = async (name: string) => {
    // One command reaches one slot of a cluster: there the sessions are asked for one by one.
    return found(client.isCluster ? await loadOne(name) : await loads.get(name));
  };

  const found = ({ fields, now }: Answer) => {
    if (!Array.isArray(fields)) throw failure(fields);
    return { record: recordOf(fields), isMoved: fields.at(-2) === ">", now };
  };

  /** Finds many sessions, in the order of their names, with all of their entries or some. */
  const findAll = async (names: readonly string[], entries?: ReadonlySet<string>) => {
    const load = entries
      ? async (keys: readonly string[], part: readonly string[]) =>
          answersOf(await run(LOAD_SOME, keys, ...part, ...entries))
      : async (keys: readonly string[], part: readonly string[]) =>
          answersOf(await run(LOAD, keys, ...part));
    const parts = partsOf(names, client.isCluster ? 1 : IN_ONE);
    const answers = await inTurns(parts, (part) =>
      load(
        part.map((name) => prefix + name),
        part,
      ),
    );
    // A damaged record hides no other.
    return answers.flat().map((answer) => undamaged([answer], found)[0] ?? NOT_FOUND);
  };

  /** The session of an owner that a member of the owner's list leads to. One damaged record hides no other. */
  const findOf = async (owner: string, member: string) => {
    try {
      const { record } = await find(handleOf(member));
      return record?.owners.has(owner) ? record : undefined;
    } catch (error) {
      if (isDamaged(error)) return "damaged";
      throw error;
    }
  };

  /** @param signIn - The operation of a sign-in that may be about to make the session the owner's. */
  const end = async (
    name: string,
    operation = "",
    owner?: string,
    signIn?: string,
  ): Promise<Ended | undefined> => {
    const args = [name, operation, owner, signIn].filter((arg) => arg !== undefined);
    const reply = await run(DESTROY, [prefix + name], ...args).catch((error) => {
      // Nothing of the store's, so there is nothing to end.
      if (!isDamaged(error)) throw error;
    });
    if (!reply) return undefined;
    const [publicId, owned] = reply as [string, string];
    const ended = { publicId, owners: ownersIn(owned) };
    // Only tidiness: the lists are asked for the living, and forget by themselves in time.
    for (const one of ended.owners) {
      client.run(FORGET, [listOf(one)], tagOf(name) + publicId).catch(() => {});
    }
    return ended;
  };

  /** Keeps what an operation is to do, and resolves to what that was the first time. */
  const once = async <T>(
    plan: T,
    operation: string | undefined,
    isPlan: (it: unknown) => it is T,
  ): Promise<T> => {
    if (operation === undefined) return plan;
    const key = `${prefix}ends:${operation}`;
    try {
      const first = await run(ONCE, [key], JSON.stringify(plan), `${REMEMBERED_FOR}`);
      const it = parsed(first as string);
      return isPlan(it) ? it : refuseDamaged();
    } catch (error) {
      // A full memory remembers nothing more, but a sign-out must not fail for it.
      if (!/\bOOM\b/.test((error as Error).message)) throw error;
      return plan;
    }
  };

  /** A repeat ends what was due the first time, and nothing that began since. */
  const endAll = async (
    owner: string,
    isDue: (publicId: string) => boolean,
    operation: string | undefined,
  ): Promise<Ended[]> => {
    const members = (await membersOf(owner)).filter((member) => isDue(publicIdOf(member)));
    const due = await once(members, operation, isTexts);
    const ended = await inTurns(due, (member) => end(handleOf(member), operation, owner));
    return ended.filter((it) => it !== undefined);
  };

  return {
    limitsOwners: true,

    async load(key) {
      const { record, isMoved, now } = await find(nameOf(key));
      if (!record) return { status: "none" };
      return isMoved ? { status: "renewed" } : { status: "live", record, now };
    },

    async create(key, { publicId, values, owners, ...given }) {
      const change = { ...given, set: values, addOwners: owners };
      await write(nameOf(key), changeArgs(change, publicId), change);
      return key;
    },

    async commit(key, change) {
      return resultOf(await write(nameOf(key), changeArgs(change), change));
    },

    destroy: (key, operation) => end(nameOf(key), operation),

    async list(owner, { entries } = {}) {
      const handles = (await membersOf(owner)).map(handleOf);
      const all = await findAll(handles, entries);
      return all.flatMap(({ record }) => (record?.owners.has(owner) ? [record] : []));
    },

    async commitByPublicId(owner, publicId, change) {
      // The first two characters of a session's key never change.
      const member =
        change.renewTo === undefined
          ? (await membersOf(owner)).find((it) => publicIdOf(it) === publicId)
          : change.renewTo.slice(0, 2) + publicId;
      if (member === undefined) return { status: "gone" };
      const args = changeArgs(change, "", owner);
      return resultOf(await write(handleOf(member), args, change));
    },

    async destroyByPublicId(owner, publicId, operation) {
      const [ended] = await endAll(owner, (it) => it === publicId, operation);
      return ended;
    },

    destroyAll: (owner, { except, operation } = {}) =>
      endAll(owner, (publicId) => publicId !== except, operation),

    ...pagesOf({ client, prefix, findAll, once, end }),
  };
}

function resultOf([status, detail, old]: WriteReply): CommitResult {
  switch (status) {
    case "saved":
      return { status, key: keyOf(detail), ...(old && { renewed: true }) };
    case "conflict":
      return { status, record: recordOf(detail) as SessionRecord };
    default:
      return { status };
  }
}

interface Answer {
  readonly fields: string[] | Error;
  readonly now: number;
}

/**
 * The result of a write: with `saved` the key, whether it is an old one, and the ended sessions, as
 * JSON.
 */
type WriteReply =
  | readonly ["saved", string, "renewed" | "", string?]
  | readonly ["conflict", string[], undefined?]
  | readonly ["gone" | "renewed", undefined?, undefined?];

type NoWriteReply =
  | readonly ["taken"]
  | readonly ["full"]
  | readonly ["damaged"]
  /** It waits until owners' lists hold the session: till when, since when, and which, as JSON. */
  | readonly ["enlist", string, string];

// The names of a session: `ab.…` is its key, `{ab}.…` the same in Redis, `{ab}:public` its handle
// there, and `abpublic` a member of its owners' lists.
const nameOf = (key: Key) => `{${key.slice(0, 2)}}${key.slice(2)}`;
const keyOf = (name: string): Key => name.slice(1, 3) + name.slice(4);
const tagOf = (name: string) => name.slice(1, 3);
const handleOf = (member: string) => `{${member.slice(0, 2)}}:${member.slice(2)}`;
const publicIdOf = (member: string) => member.slice(2);

/** Returns a change as the script's arguments, after the key and the lists. */
function changeArgs(change: Change, publicId = "", owner?: string): string[] {
  const { operation, set, delete: deleted, expect, touch, restart, idle, absolute } = change;
  const { renewTo, userChanged, addOwners, removeOwners, limitOwner } = change;
  const present: string[] = [];
  const absent: string[] = [];
  for (const [name, text] of expect ?? []) {
    if (text === undefined) absent.push(name);
    else present.push(name, text);
  }
  const args = [operation, publicId, touch ? "1" : "", restart ? "1" : ""];
  args.push(idle === undefined ? "" : `${idle}`, absolute === undefined ? "" : `${absolute}`);
  args.push(renewTo === undefined ? "" : nameOf(renewTo), userChanged ? "1" : "");
  const entries = set ? [...set].flat() : [];
  const whose = owner === undefined ? [] : [owner];
  for (const list of [entries, deleted, present, absent, addOwners, removeOwners, whose]) {
    const items = list ? [...list] : [];
    args.push(`${items.length}`, ...items);
  }
  if (limitOwner) args.push(limitOwner.owner, `${limitOwner.limit}`, limitOwner.overflow);
  return args;
}

function tellAll(limitOwner: OwnerLimit | undefined, ended: readonly Ended[]): void {
  if (ended.length > 0) limitOwner?.onEnded?.(ended);
}

function tell(limitOwner: OwnerLimit | undefined, json: string | null | undefined): void {
  const ended = parsed(json || "[]");
  if (!Array.isArray(ended)) return;
  tellAll(
    limitOwner,
    ended.flatMap((it) =>
      isTexts(it) && it[0] !== undefined
        ? [{ publicId: it[0], owners: ownersIn(it[1] ?? "") }]
        : [],
    ),
  );
}

/** Returns the error that a call rejects with: a key of another type is no outage. */
function failure(error: unknown): Error {
  const plain = withoutSecrets(error);
  return plain.message.startsWith("WRONGTYPE") ? damaged() : plain;
}

const keyTaken = () => new SessionError("ERR_SESSION_KEY_TAKEN", "redisStore: the key is in use");
