import assert from "node:assert/strict";
import { isPaged, type PagedStore } from "../../paged-store.ts";
import type { Ended, SessionRecord, Store } from "../../store.ts";
import {
  type Case,
  change,
  MINUTE,
  newOwner,
  newRecord,
  type Place,
  publicIds,
  race,
  SECOND,
  saved,
  times,
} from "./case.ts";

const pagedOf = (store: Store): PagedStore | undefined => (isPaged(store) ? store : undefined);

async function* pages(store: PagedStore, entries?: ReadonlySet<string>) {
  let cursor: string | undefined;
  do {
    const page = await store.page({
      ...(cursor !== undefined && { cursor }),
      ...(entries && { entries }),
    });
    yield page.records;
    cursor = page.next;
  } while (cursor !== undefined);
}

async function all(store: PagedStore, entries?: ReadonlySet<string>): Promise<SessionRecord[]> {
  const found: SessionRecord[] = [];
  for await (const records of pages(store, entries)) found.push(...records);
  return found;
}

async function count(store: PagedStore): Promise<number> {
  let sum = 0;
  let cursor: string | undefined;
  do {
    const page = await store.count(cursor);
    sum += page.count;
    cursor = page.next;
  } while (cursor !== undefined);
  return sum;
}

/** Ends everything; `between` is called after each step. */
async function destroyEveryone(
  store: PagedStore,
  between: (n: number) => unknown = () => {},
): Promise<Ended[]> {
  const ended: Ended[] = [];
  let cursor: string | undefined;
  let n = 0;
  do {
    const page = await store.destroyPage({
      ...(cursor !== undefined && { cursor }),
      operation: change().operation,
    });
    ended.push(...page.ended);
    cursor = page.next;
    await between(n++);
  } while (cursor !== undefined);
  return ended;
}

const mine = (records: readonly Ended[], owner: string) =>
  publicIds(records.filter(({ owners }) => owners.has(owner)));

/** Excuses a store that can't go through its sessions. Cases may share one: each compares its own sessions. */
const paged =
  (run: (at: Place, store: PagedStore, again: PagedStore) => Promise<void>) =>
  async (at: Place): Promise<void> => {
    const [store, again] = [pagedOf(at.store), pagedOf(at.again)];
    if (store && again) await run(at, store, again);
  };

/** A store that can go through all of its sessions, for operators. */
export const everyone: readonly Case[] = [
  {
    name: "U6: pages hold each live session, as it is, and none that has ended",
    excused: ["index"],
    run: paged(async (at, store, again) => {
      const owner = newOwner();
      const owned = { owners: new Set([owner]), values: new Map([["n", "1"]]) };
      const records = times(120, () => newRecord(owned));
      const keys = await race(...records.map((it) => () => at.store.create(at.newKey(), it)));
      const renewed = await at.commit(keys[0] as string, { renewTo: at.newKey() });
      await at.store.destroy(keys[1] as string);
      await at.create({ ...owned, idle: MINUTE });
      await at.advance(2 * MINUTE);

      const found = (await all(again)).filter(({ owners }) => owners.has(owner));
      const living = records.filter((_, n) => n !== 1);
      assert.deepEqual([...new Set(publicIds(found))], publicIds(living));
      const { record } = await at.load(renewed);
      assert.deepEqual(
        found.find(({ publicId }) => publicId === record.publicId),
        record,
      );
      const [one] = mine(await all(store, new Set(["other"])), owner);
      assert.ok(one);
      for (const it of await all(store, new Set(["other"]))) assert.equal(it.values.size, 0);
    }),
  },
  {
    name: "U6: a count counts live sessions, with and without an owner",
    excused: ["index"],
    run: paged(async (at, store, again) => {
      const before = await count(store);
      const keys = await race(
        ...times(30, (n) => () => at.create({ owners: new Set(n % 2 ? [newOwner()] : []) })),
      );
      await at.commit(keys[0] as string, { renewTo: at.newKey() });
      await at.store.destroy(keys[1] as string);
      assert.equal((await count(again)) - before, 29);
    }),
  },
  {
    name: "U6: everyone ends: all sessions of all owners and of none, and none that begins later",
    excused: ["index"],
    run: paged(async (at, store, again) => {
      const owner = newOwner();
      const records = times(120, (n) => newRecord({ owners: new Set(n % 2 ? [owner] : []) }));
      const keys = await race(...records.map((it) => () => at.store.create(at.newKey(), it)));
      let later: string | undefined;
      let beside: string | undefined;
      const ended = await destroyEveryone(store, async (n) => {
        if (n > 0) return;
        await at.advance(SECOND);
        later = await at.again.create(at.newKey(), newRecord({ owners: new Set([owner]) }));
        beside = await at.create();
      });
      const ids = new Set(ended.map(({ publicId }) => publicId));
      assert.equal(ids.size, ended.length, "a session was ended twice");
      for (const { publicId } of records) assert.ok(ids.has(publicId));
      for (const key of keys) assert.equal(await at.status(key), "none");
      for (const key of [later, beside]) assert.equal(await at.status(key as string), "live");
      assert.equal((await at.listed(owner)).length, 1);
      await at.advance(SECOND);
      assert.ok((await destroyEveryone(again)).length >= 2);
      assert.equal(await count(store), 0);
    }),
  },
  {
    name: "U6: a session that is renewed again and again while everyone ends, ends too",
    excused: ["index", "renewed"],
    run: paged(async (at, store) => {
      const keys = await race(...times(150, () => () => at.create()));
      await at.advance(SECOND);
      const owner = newOwner();
      const renew = async (n: number) => {
        const result = await at.again.commit(
          keys[n] as string,
          change({ renewTo: at.newKey(), addOwners: new Set([owner]), touch: true }),
        );
        if (result.status === "saved") keys[n] = saved(result);
      };
      const some = times(15, (n) => 10 * n);
      await destroyEveryone(store, () => race(...some.map((n) => () => renew(n))));
      for (const key of keys) assert.equal(await at.status(key), "none");
    }),
  },
  {
    name: "U6: two calls for everyone at once end each session once",
    excused: ["index"],
    run: paged(async (at, store, again) => {
      const owner = newOwner();
      const records = times(120, () => newRecord({ owners: new Set([owner]) }));
      await race(...records.map((it) => () => at.store.create(at.newKey(), it)));
      await at.advance(SECOND);
      const ended = await race(
        () => destroyEveryone(store),
        () => destroyEveryone(again),
      );
      assert.deepEqual(mine(ended.flat(), owner), publicIds(records));
    }),
  },
  {
    name: "U6: a repeated step for everyone resolves to what the first has ended",
    excused: ["index"],
    run: paged(async (at, store, again) => {
      const owner = newOwner();
      await race(...times(30, () => () => at.create({ owners: new Set([owner]) })));
      await at.advance(SECOND);
      const options = { operation: change().operation };
      const first = await store.destroyPage(options);
      await at.create({ owners: new Set([owner]) });
      const repeat = await again.destroyPage(options);
      assert.deepEqual(publicIds(repeat.ended), publicIds(first.ended));
      assert.equal((await at.listed(owner)).length, 31 - mine(first.ended, owner).length);
    }),
  },
];
