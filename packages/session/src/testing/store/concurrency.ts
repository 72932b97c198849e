import assert from "node:assert/strict";
import type { Change, Key, SessionRecord, Store } from "../../store.ts";
import {
  type Case,
  change,
  conflict,
  countsAll,
  HOUR,
  isAbout,
  MINUTE,
  newOwner,
  pop,
  race,
  saved,
  sorted,
  times,
} from "./case.ts";

const ATTEMPTS = 1000;

/**
 * Adds one to an entry as `session.update` does: again and again, until nobody came between. Gives up when
 * another one has.
 */
async function increment(store: Store, key: Key, name: string, signal: AbortSignal): Promise<void> {
  const loaded = await store.load(key);
  assert.equal(loaded.status, "live");
  let { record } = loaded as { record: SessionRecord };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    signal.throwIfAborted();
    const before = record.values.get(name);
    const next = new Map([[name, String(Number(before ?? 0) + 1)]]);
    const result = await store.commit(
      key,
      change({ set: next, expect: new Map([[name, before]]) }),
    );
    if (result.status === "saved") return;
    record = conflict(result);
  }
  assert.fail(
    `one of 50 concurrent updates gave up after ${ATTEMPTS} conflicts: among concurrent commits with the same expectation, one must be saved`,
  );
}

/** Parallel writers of one session. */
export const concurrency: readonly Case[] = [
  {
    name: "S5: concurrent commits of different entries all count",
    excused: ["merge"],
    async run(at) {
      const key = await at.create();
      const names = times(50, (n) => `entry ${n}`);
      await race(
        ...names.map((name, n) => async () => {
          saved(await at.handle(n).commit(key, change({ set: new Map([[name, "1"]]) })));
        }),
      );
      const after = await at.values(key);
      countsAll(after.length, names.length, "concurrent changes were lost");
      assert.deepEqual(after, sorted(new Map(names.map((name) => [name, "1"]))));
    },
  },
  {
    name: "S5: a commit keeps what another handle has set and deleted meanwhile",
    excused: ["merge"],
    async run(at) {
      const values = new Map([
        ["a", "0"],
        ["b", "0"],
        ["c", "0"],
      ]);
      const key = await at.create({ values });
      await race(
        () => at.store.load(key),
        () => at.again.load(key),
      );
      saved(await at.again.commit(key, change({ set: new Map([["a", "1"]]) })));
      saved(await at.store.commit(key, change({ set: new Map([["b", "1"]]) })));
      saved(await at.again.commit(key, change({ delete: new Set(["c"]) })));
      saved(await at.store.commit(key, change({ touch: true })));
      assert.deepEqual(await at.values(key), [
        ["a", "1"],
        ["b", "1"],
      ]);
    },
  },
  {
    name: "S5: on one entry the later commit wins",
    excused: ["merge"],
    async run(at) {
      const key = await at.create();
      saved(await at.again.commit(key, change({ set: new Map([["a", "earlier"]]) })));
      saved(await at.store.commit(key, change({ set: new Map([["a", "later"]]) })));
      assert.deepEqual(await at.values(key), [["a", "later"]]);
    },
  },
  {
    name: "S5: of 50 concurrent updates of one entry all 50 count",
    excused: ["once"],
    async run(at) {
      const key = await at.create();
      await race(
        ...times(50, (n) => (signal: AbortSignal) => increment(at.handle(n), key, "count", signal)),
      );
      const count = Number((await at.load(key)).record.values.get("count"));
      countsAll(count, 50, "concurrent updates were lost");
      assert.deepEqual(await at.values(key), [["count", "50"]]);
    },
  },
  {
    name: "S5: of 20 concurrent pops of one entry exactly one gets it",
    excused: ["once"],
    async run(at) {
      const values = new Map([
        ["message", "hello"],
        ["other", "1"],
      ]);
      const key = await at.create({ values });
      const results = await race(
        ...times(20, (n) => () => at.handle(n).commit(key, pop("message", "hello"))),
      );
      const losers = results.filter(({ status }) => status !== "saved");
      assert.equal(
        losers.length,
        19,
        `${20 - losers.length} of 20 concurrent pops got the entry, and exactly one must`,
      );
      for (const loser of losers) assert.equal(conflict(loser).values.has("message"), false);
      assert.deepEqual(await at.values(key), [["other", "1"]]);
    },
  },
  {
    name: "S5: of 20 concurrent creators of one entry exactly one makes it",
    excused: ["once"],
    async run(at) {
      const key = await at.create();
      const results = await race(
        ...times(20, (n) => () => {
          const set = new Map([["a", String(n)]]);
          return at.handle(n).commit(key, change({ set, expect: new Map([["a", undefined]]) }));
        }),
      );
      const winner = results.findIndex(({ status }) => status === "saved");
      const conflicts = results.filter(({ status }) => status === "conflict").length;
      assert.equal(
        conflicts,
        19,
        `${20 - conflicts} of 20 concurrent creators made the entry, and exactly one must`,
      );
      assert.deepEqual(await at.values(key), [["a", String(winner)]]);
    },
  },
  {
    name: "S5: every expectation must hold, or nothing is applied",
    excused: [],
    async run(at) {
      const [owner, another] = [newOwner(), newOwner()];
      const values = new Map([
        ["a", "1"],
        ["b", "2"],
      ]);
      const key = await at.create({ values, owners: new Set([owner]), idle: HOUR });
      await at.advance(MINUTE);
      const before = await at.load(key);
      const failing: [string, string | undefined][] = [
        ["a", "2"],
        ["a", undefined],
        ["absent", ""],
        ["absent", "1"],
      ];
      const everything: Partial<Change> = {
        set: new Map([["a", "changed"]]),
        delete: new Set(["b"]),
        touch: true,
        idle: 2 * HOUR,
        absolute: 2 * HOUR,
        restart: true,
        renewTo: at.newKey(),
        addOwners: new Set([another]),
        removeOwners: new Set([owner]),
      };
      for (const expectation of failing) {
        const expect = new Map<string, string | undefined>([["b", "2"], expectation]);
        const record = conflict(await at.store.commit(key, change({ ...everything, expect })));
        assert.deepEqual(record, before.record);
        const after = await at.load(key);
        assert.deepEqual(after.record, before.record);
        isAbout(after.now - after.record.seenAt, MINUTE, "the time since the last touch");
      }
      if (!at.store.carriesData) {
        assert.equal(await at.status(everything.renewTo as Key), "none");
      }
      if (!at.limits.includes("index")) {
        assert.deepEqual(await at.listed(owner), [before.record.publicId]);
        assert.deepEqual(await at.listed(another), []);
      }
    },
  },
  {
    name: "S5: an expectation that holds lets the change through",
    excused: [],
    async run(at) {
      const key = await at.create({ values: new Map([["a", "1"]]) });
      const expect = new Map([
        ["a", "1"],
        ["absent", undefined],
      ]);
      const after = await at.commit(key, { set: new Map([["a", "2"]]), expect });
      assert.deepEqual(await at.values(after), [["a", "2"]]);
    },
  },
  {
    name: "S5: an expectation about an entry that was never set holds as absent",
    excused: [],
    async run(at) {
      for (const name of ["__proto__", "constructor", "toString"]) {
        const key = await at.create();
        const expect = new Map([[name, undefined]]);
        const after = await at.commit(key, { set: new Map([[name, "1"]]), expect });
        assert.deepEqual(await at.values(after), [[name, "1"]]);
      }
    },
  },
  {
    name: "S5: a conflict brings the record as it is now",
    excused: ["merge"],
    async run(at) {
      const key = await at.create({ values: new Map([["a", "1"]]) });
      const owner = newOwner();
      const set = new Map([
        ["a", "2"],
        ["b", "2"],
      ]);
      saved(await at.again.commit(key, change({ set, addOwners: new Set([owner]), idle: HOUR })));
      const record = conflict(await at.store.commit(key, pop("a", "1")));
      assert.deepEqual(sorted(record.values), sorted(set));
      assert.deepEqual(record, (await at.load(key)).record);
    },
  },
];
