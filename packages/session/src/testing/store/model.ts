import assert from "node:assert/strict";
import {
  type Change,
  expiresAt,
  type Key,
  type NewRecord,
  RENEWED_FOR,
  type SessionRecord,
} from "../../store.ts";
import { randomFrom } from "../random.ts";
import {
  type Case,
  change,
  HOUR,
  newOwner,
  newRecord,
  type Place,
  publicIds,
  SECOND,
  sorted,
} from "./case.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The state that the store must have, as simply as it can be expressed. */
interface Expected extends Mutable<SessionRecord> {
  values: Map<string, string>;
  owners: Set<string>;
  key: Key;
  oldKeys: { key: Key; until: number; isBarred: boolean }[];
  ended: boolean;
}

class Model {
  now = 0;
  readonly sessions: Expected[] = [];

  create(key: Key, { publicId, values, owners, idle, absolute }: NewRecord): void {
    this.sessions.push({
      publicId,
      values: new Map(values),
      owners: new Set(owners),
      idle,
      absolute,
      createdAt: this.now,
      startedAt: this.now,
      seenAt: this.now,
      key,
      oldKeys: [],
      ended: false,
    });
  }

  living(): Expected[] {
    return this.sessions.filter((session) => !session.ended && expiresAt(session) > this.now);
  }

  find(key: Key): Expected | undefined {
    return this.living().find(
      (session) =>
        session.key === key ||
        session.oldKeys.some((old) => old.key === key && old.until > this.now),
    );
  }

  commit(key: Key, change: Change): string {
    const session = this.find(key);
    if (!session) return "gone";
    const old = session.oldKeys.find((it) => it.key === key);
    if (old && (change.renewTo !== undefined || old.isBarred)) return "renewed";
    for (const [name, text] of change.expect ?? []) {
      if (session.values.get(name) !== text) return old ? "renewed" : "conflict";
    }
    for (const [name, text] of change.set ?? []) session.values.set(name, text);
    for (const name of change.delete ?? []) session.values.delete(name);
    for (const owner of change.addOwners ?? []) session.owners.add(owner);
    for (const owner of change.removeOwners ?? []) session.owners.delete(owner);
    session.idle = change.idle ?? session.idle;
    session.absolute = change.absolute ?? session.absolute;
    if (change.touch) session.seenAt = this.now;
    if (change.restart) session.startedAt = this.now;
    if (change.renewTo !== undefined) {
      session.oldKeys.push({ key, until: this.now + RENEWED_FOR, isBarred: false });
      if (change.userChanged) for (const it of session.oldKeys) it.isBarred = true;
      session.key = change.renewTo;
    }
    return "saved";
  }
}

// Time moves in steps of 24 s, and no expiry falls nearer than 12 s to a step: a real server's clock,
// which moves between two steps, decides nothing. A renewed key lives for two and a half.
const STEP = 24 * SECOND;
const IDLE = [4.5 * STEP, 11.5 * STEP, 30.5 * STEP];
const ABSOLUTE = [25.5 * STEP, 50.5 * STEP];
const NAMES = ["a", "b", "c", "d"];

const OPERATIONS = 600;
/** Renewals of one session: a store need not remember more than a few of its keys. */
const RENEWALS = 6;

async function check(at: Place): Promise<void> {
  const random = randomFrom(at.seed);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const some = <T>(from: readonly T[], of: number): T[] => from.filter(() => random(of) === 0);
  const can = (limit: Place["limits"][number]) => !at.limits.includes(limit);

  const model = new Model();
  const owners = [newOwner(), newOwner(), newOwner()];
  let repeat = async (): Promise<void> => {};

  const randomKey = (): Key => {
    const { key, oldKeys } = pick(model.sessions.slice(-8));
    return can("renewed") ? pick([key, key, ...oldKeys.map((old) => old.key)]) : key;
  };

  const randomChange = (session: Expected | undefined): Change => {
    const deleted = some(NAMES, 6);
    const set = some(NAMES, 3).filter((name) => !deleted.includes(name));
    const removed = some(owners, 6);
    const added = some(owners, 6).filter((owner) => !removed.includes(owner));
    const expected = random(3) === 0 ? some(NAMES, 3) : [];
    const expect = expected.map((name): [string, string | undefined] => [
      name,
      random(4) === 0 ? undefined : session?.values.get(name),
    ]);
    return change({
      set: new Map(set.map((name) => [name, String(random(100))])),
      delete: new Set(deleted),
      expect: new Map(expect),
      addOwners: new Set(added),
      removeOwners: new Set(removed),
      ...(random(3) === 0 && { touch: true }),
      ...(random(12) === 0 && { restart: true }),
      ...(random(8) === 0 && { idle: pick(IDLE) }),
      ...(random(12) === 0 && { absolute: pick(ABSOLUTE) }),
      ...(random(6) === 0 &&
        (session?.oldKeys.length ?? 0) < RENEWALS && {
          renewTo: at.newKey(),
          ...(random(3) === 0 && { userChanged: true }),
        }),
    });
  };

  const same = (record: SessionRecord, now: number, expected: Expected) => {
    assert.equal(record.publicId, expected.publicId);
    assert.deepEqual(sorted(record.values), sorted(expected.values));
    assert.deepEqual([...record.owners].sort(), [...expected.owners].sort());
    assert.equal(record.idle, expected.idle);
    assert.equal(record.absolute, expected.absolute);
    for (const instant of ["createdAt", "startedAt", "seenAt"] as const) {
      const [age, due] = [now - record[instant], model.now - expected[instant]];
      assert.ok(Math.abs(age - due) < STEP / 2, `the time since ${instant} is ${age}, not ${due}`);
    }
  };

  const create = async () => {
    const record = newRecord({
      owners: new Set(some(owners, 3)),
      values: new Map(some(NAMES, 2).map((name) => [name, String(random(100))])),
      idle: pick(IDLE),
      absolute: pick(ABSOLUTE),
    });
    const key = await at.handle(random(2)).create(at.newKey(), record);
    model.create(key, record);
    repeat = async () => assert.equal(await at.handle(random(2)).create(key, record), key);
  };

  const commit = async () => {
    const key = randomKey();
    const session = model.find(key);
    const write = randomChange(session);
    const result = await at.handle(random(2)).commit(key, write);
    assert.equal(result.status, model.commit(key, write));
    if (result.status === "conflict") assert.equal(result.record.publicId, session?.publicId);
    if (result.status !== "saved" || !session) return;
    if (at.store.carriesData) session.key = result.key;
    else assert.equal(result.key, write.renewTo ?? key);
    // A commit that lets its session expire leaves nothing that could remember it.
    const isAlive = model.living().includes(session);
    repeat = async () => {
      if (isAlive) assert.deepEqual(await at.handle(random(2)).commit(key, write), result);
    };
  };

  const load = async () => {
    const key = randomKey();
    const loaded = await at.handle(random(2)).load(key);
    const session = model.find(key);
    if (loaded.status === "live") {
      assert.equal(session?.key, key);
      same(loaded.record, loaded.now, session);
    } else {
      assert.equal(loaded.status, session ? "renewed" : "none");
    }
  };

  const witness = await at.create({ idle: 1_000 * HOUR, absolute: 1_000 * HOUR });

  const advance = async () => {
    model.now += STEP * (1 + random(3));
    // Less what a server's clock has moved since: on a busy machine that would add up.
    const { record, now } = await at.load(witness);
    await at.advance(Math.max(0, model.now - (now - record.createdAt)));
    // A session that has expired since may give a repeat either result.
    repeat = async () => {};
  };

  const destroy = async () => {
    const key = randomKey();
    const session = model.find(key);
    const ended = await at.handle(random(2)).destroy(key);
    assert.equal(ended?.publicId, session?.publicId);
    if (session) session.ended = true;
    repeat = async () => assert.equal(await at.handle(random(2)).destroy(key), undefined);
  };

  const list = async () => {
    const owner = pick(owners);
    assert.deepEqual(
      await at.listed(owner),
      publicIds(model.living().filter((session) => session.owners.has(owner))),
    );
  };

  const destroyByPublicId = async () => {
    const [owner, session] = [pick(owners), pick(model.sessions.slice(-8))];
    const due = model.living().includes(session) && session.owners.has(owner);
    const ended = await at.index.destroyByPublicId(owner, session.publicId);
    assert.equal(ended?.publicId, due ? session.publicId : undefined);
    if (due) session.ended = true;
    // A session that has ended since may give a repeat either result, as above.
    repeat = async () => {};
  };

  const destroyAll = async () => {
    const [owner, except] = [pick(owners), pick(model.sessions.slice(-8)).publicId];
    const due = model
      .living()
      .filter((session) => session.owners.has(owner) && session.publicId !== except);
    assert.deepEqual(publicIds(await at.index.destroyAll(owner, { except })), publicIds(due));
    for (const session of due) session.ended = true;
    repeat = async () => {};
  };

  const often = <T>(count: number, what: T): T[] => Array.from({ length: count }, () => what);
  const operations = [
    ...often(4, create),
    ...often(16, commit),
    ...often(12, load),
    ...often(4, advance),
    ...(can("revoke") ? [destroy] : []),
    ...(can("index") ? [...often(4, list), destroyByPublicId, destroyAll] : []),
    ...(can("repeat") ? often(2, () => repeat()) : []),
  ];
  await create();
  for (let n = 0; n < OPERATIONS; n++) {
    try {
      await pick(operations)();
    } catch (cause) {
      throw new Error(`operation ${n} with the seed ${at.seed} differs: ${String(cause)}`, {
        cause,
      });
    }
  }
}

/** Anything, in any order. */
export const model: readonly Case[] = [
  {
    name: "Store: random operations do what a simple model says",
    excused: [],
    run: check,
  },
];
