import assert from "node:assert/strict";
import type { Change, Key, NewRecord } from "../../store.ts";
import { type Case, change, HOUR, isAbout, MINUTE, newOwner, type Place, SECOND } from "./case.ts";

const LONG = 100 * HOUR;

/** A change, after a part of the session's life, and the age at which it ends from then on. */
interface Life {
  readonly name: string;
  readonly born: Pick<NewRecord, "idle" | "absolute">;
  /** The commits, by the age of the session. */
  readonly changes: readonly (readonly [age: number, change: Partial<Change>])[];
  readonly endsAt: number;
}

const lives: readonly Life[] = [
  {
    name: "a session nobody uses ends after its idle time",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [],
    endsAt: 10 * MINUTE,
  },
  {
    name: "a session ends at its absolute time, if that is nearer",
    born: { idle: LONG, absolute: 10 * MINUTE },
    changes: [],
    endsAt: 10 * MINUTE,
  },
  {
    name: "a touch begins the idle time anew",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [
      [8 * MINUTE, { touch: true }],
      [16 * MINUTE, { touch: true }],
    ],
    endsAt: 26 * MINUTE,
  },
  {
    name: "a commit without a touch doesn't extend",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [[8 * MINUTE, { set: new Map([["a", "1"]]), addOwners: new Set([newOwner()]) }]],
    endsAt: 10 * MINUTE,
  },
  {
    name: "a touch never passes the absolute end",
    born: { idle: 10 * MINUTE, absolute: 15 * MINUTE },
    changes: [
      [8 * MINUTE, { touch: true }],
      [14 * MINUTE, { touch: true }],
    ],
    endsAt: 15 * MINUTE,
  },
  {
    name: "a touch doesn't undo a longer idle time",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [
      [4 * MINUTE, { idle: HOUR }],
      [8 * MINUTE, { touch: true }],
    ],
    endsAt: 68 * MINUTE,
  },
  {
    name: "a new idle time counts from the last touch",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [[8 * MINUTE, { idle: 20 * MINUTE }]],
    endsAt: 20 * MINUTE,
  },
  {
    name: "a new idle time and a touch count from now",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [[8 * MINUTE, { idle: 20 * MINUTE, touch: true }]],
    endsAt: 28 * MINUTE,
  },
  {
    name: "an idle time can be shortened",
    born: { idle: HOUR, absolute: LONG },
    changes: [[5 * MINUTE, { idle: 10 * MINUTE }]],
    endsAt: 10 * MINUTE,
  },
  {
    name: "a new absolute time counts from the start",
    born: { idle: LONG, absolute: 10 * MINUTE },
    changes: [[8 * MINUTE, { absolute: 20 * MINUTE, touch: true }]],
    endsAt: 20 * MINUTE,
  },
  {
    name: "an absolute time can be shortened",
    born: { idle: LONG, absolute: HOUR },
    changes: [[5 * MINUTE, { absolute: 10 * MINUTE }]],
    endsAt: 10 * MINUTE,
  },
  {
    name: "a restart begins the absolute time anew",
    born: { idle: LONG, absolute: 10 * MINUTE },
    changes: [[8 * MINUTE, { restart: true }]],
    endsAt: 18 * MINUTE,
  },
  {
    name: "a restart doesn't extend the idle time",
    born: { idle: 10 * MINUTE, absolute: LONG },
    changes: [[8 * MINUTE, { restart: true }]],
    endsAt: 10 * MINUTE,
  },
  {
    name: "a restart with a new absolute time counts it from now",
    born: { idle: LONG, absolute: 10 * MINUTE },
    changes: [[8 * MINUTE, { restart: true, absolute: 20 * MINUTE }]],
    endsAt: 28 * MINUTE,
  },
];

async function live(at: Place, { born, changes, endsAt }: Life): Promise<Key> {
  let key = await at.create(born);
  let age = 0;
  for (const [changedAt, changes_] of changes) {
    await at.advance(changedAt - age);
    age = changedAt;
    key = await at.commit(key, changes_);
  }
  await at.advance(endsAt - 20 * SECOND - age);
  return key;
}

const aging: readonly Case[] = lives.map((life) => ({
  name: `S8: ${life.name}`,
  excused: [],
  async run(at) {
    const key = await live(at, life);
    assert.equal(await at.status(key), "live");
    await at.advance(40 * SECOND);
    assert.equal(await at.status(key), "none");
  },
}));

const late: readonly (readonly [string, Partial<Change>])[] = [
  ["a touch", { touch: true }],
  ["a set", { set: new Map([["a", "1"]]) }],
  ["a longer life", { idle: LONG, absolute: LONG, restart: true, touch: true }],
];

const ends: readonly (readonly [string, Pick<NewRecord, "idle" | "absolute">])[] = [
  ["has idled out", { idle: 10 * MINUTE, absolute: LONG }],
  ["has reached its absolute end", { idle: LONG, absolute: 10 * MINUTE }],
];

const tooLate: readonly Case[] = ends.flatMap(([ended, born]) =>
  late.map(([what, changes]) => ({
    name: `S6: ${what} on a session that ${ended} is gone and revives nothing`,
    excused: [],
    async run(at: Place) {
      const key = await at.create(born);
      await at.advance(10 * MINUTE + 20 * SECOND);
      assert.equal((await at.store.commit(key, change(changes))).status, "gone");
      assert.equal(await at.status(key), "none");
      assert.equal(await at.again.destroy(key), undefined);
    },
  })),
);

/** The cases about the end of a session. */
export const expiry: readonly Case[] = [
  ...aging,
  ...tooLate,
  {
    name: "S8: a record's instants say how long ago, by the now beside it",
    excused: [],
    async run(at) {
      let key = await at.create({ idle: HOUR, absolute: LONG });
      await at.advance(MINUTE);
      key = await at.commit(key, { restart: true });
      await at.advance(MINUTE);
      key = await at.commit(key, { touch: true });
      await at.advance(MINUTE);
      const { record, now } = await at.load(key);
      isAbout(now - record.createdAt, 3 * MINUTE, "the time since the creation");
      isAbout(now - record.startedAt, 2 * MINUTE, "the time since the restart");
      isAbout(now - record.seenAt, MINUTE, "the time since the touch");
      assert.equal(record.idle, HOUR);
      assert.equal(record.absolute, LONG);
    },
  },
  {
    name: "S8: an absolute time of Infinity never ends",
    excused: ["forever"],
    async run(at) {
      const key = await at.create({ idle: 10_000 * 24 * HOUR, absolute: Infinity });
      await at.advance(3_000 * 24 * HOUR);
      const after = await at.commit(key, { touch: true });
      await at.advance(8_000 * 24 * HOUR);
      assert.equal((await at.load(after)).record.absolute, Infinity);
      const finite = await at.commit(after, { absolute: HOUR });
      assert.equal(await at.status(finite), "none");
    },
  },
  {
    name: "S8: an absolute time can become Infinity",
    excused: ["forever"],
    async run(at) {
      const key = await at.create({ idle: LONG, absolute: HOUR });
      const after = await at.commit(key, { absolute: Infinity });
      await at.advance(2 * HOUR);
      assert.equal((await at.load(after)).record.absolute, Infinity);
    },
  },
];
