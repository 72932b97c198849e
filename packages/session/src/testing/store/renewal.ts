import assert from "node:assert/strict";
import { RENEWED_FOR } from "../../store.ts";
import {
  type Case,
  change,
  failsWith,
  HOUR,
  isAbout,
  MINUTE,
  newOwner,
  newRecord,
  pop,
  race,
  SECOND,
  saved,
  sorted,
  times,
} from "./case.ts";

/** A session moves to a new key. */
export const renewal: readonly Case[] = [
  {
    name: "S7: a renewal keeps the session and its expiry",
    excused: [],
    async run(at) {
      const values = new Map([
        ["a", "1"],
        ["b", "2"],
      ]);
      const key = await at.create({ values, owners: new Set([newOwner()]), idle: HOUR });
      await at.advance(MINUTE);
      const before = await at.load(key);
      const renewed = await at.commit(key, { renewTo: at.newKey() });
      const after = await at.load(renewed);
      assert.notEqual(renewed, key);
      assert.deepEqual(after.record, before.record);
      isAbout(after.now - after.record.seenAt, MINUTE, "the time since the last touch");
      await at.advance(58 * MINUTE);
      assert.equal(await at.status(renewed), "live");
      await at.advance(2 * MINUTE);
      assert.equal(await at.status(renewed), "none");
    },
  },
  {
    name: "S7: a login is one commit: key, owner, entries and the start of the absolute time",
    excused: [],
    async run(at) {
      const owner = newOwner();
      const key = await at.create({ absolute: HOUR, values: new Map([["cart", "1"]]) });
      await at.advance(10 * MINUTE);
      const renewed = await at.commit(key, {
        renewTo: at.newKey(),
        addOwners: new Set([owner]),
        set: new Map([["user", "ada"]]),
        restart: true,
        touch: true,
      });
      const { record, now } = await at.load(renewed);
      assert.deepEqual(record.owners, new Set([owner]));
      assert.deepEqual(sorted(record.values), [
        ["cart", "1"],
        ["user", "ada"],
      ]);
      isAbout(now - record.createdAt, 10 * MINUTE, "the time since the creation");
      isAbout(now - record.startedAt, 0, "the time since the login");
      isAbout(now - record.seenAt, 0, "the time since the last touch");
    },
  },
  {
    name: "S7: the old key is renewed for a minute, and then none",
    excused: ["renewed"],
    async run(at) {
      const old = await at.create();
      const key = await at.commit(old, { renewTo: at.newKey() });
      assert.equal(await at.status(old), "renewed");
      await at.advance(RENEWED_FOR - 10 * SECOND);
      assert.equal(await at.status(old), "renewed");
      await at.advance(20 * SECOND);
      assert.equal(await at.status(old), "none");
      assert.equal(await at.status(key), "live");
    },
  },
  {
    name: "S19: a slow writer with the old key writes to the successor, and keeps the old key",
    excused: ["renewed"],
    async run(at) {
      const old = await at.create({ values: new Map([["message", "hello"]]) });
      const key = await at.commit(old, { renewTo: at.newKey() });
      const slow = change({ set: new Map([["slow", "1"]]) });
      const byOldKey = { status: "saved", key: old, renewed: true };
      assert.deepEqual(await at.again.commit(old, slow), byOldKey);
      assert.deepEqual(await at.store.commit(old, slow), byOldKey);
      assert.deepEqual(await at.store.commit(old, pop("message", "hello")), byOldKey);
      assert.deepEqual(await at.values(key), [["slow", "1"]]);
      assert.equal(await at.status(old), "renewed");
    },
  },
  {
    name: "S19: an expectation that fails by an old key is renewed, and nothing of the record returns",
    excused: ["renewed"],
    async run(at) {
      const old = await at.create({ values: new Map([["n", "1"]]) });
      const key = await at.commit(old, {
        renewTo: at.newKey(),
        set: new Map([["n", "2"]]),
      });
      for (const write of [
        pop("n", "1"),
        change({ set: new Map([["n", "3"]]), expect: new Map([["n", undefined]]) }),
        change({ set: new Map([["late", "1"]]), expect: new Map([["late", "0"]]) }),
      ]) {
        assert.deepEqual(await at.again.commit(old, write), { status: "renewed" });
      }
      assert.deepEqual(await at.values(key), [["n", "2"]]);
    },
  },
  {
    name: "S19: after a renewal that changed the user every older key is renewed and applies nothing",
    excused: ["renewed"],
    async run(at) {
      const owner = newOwner();
      const first = await at.create({ values: new Map([["cart", "1"]]) });
      const second = await at.commit(first, { renewTo: at.newKey() });
      const third = await at.commit(second, {
        renewTo: at.newKey(),
        userChanged: true,
        set: new Map([["user", "ada"]]),
      });
      const fourth = await at.commit(third, { renewTo: at.newKey() });
      await at.advance(SECOND);
      const before = await at.load(fourth);
      for (const old of [first, second]) {
        for (const write of [
          change({ touch: true }),
          change({ set: new Map([["cart", "2"]]), addOwners: new Set([owner]) }),
          change({ delete: new Set(["user"]), expect: new Map([["user", "ada"]]) }),
          change({ renewTo: at.newKey() }),
          change({ idle: HOUR, absolute: HOUR, touch: true, restart: true }),
        ]) {
          assert.deepEqual(await at.again.commit(old, write), { status: "renewed" });
        }
      }
      assert.deepEqual((await at.load(fourth)).record, before.record);
      const slow = change({ set: new Map([["slow", "1"]]) });
      assert.equal(saved(await at.again.commit(third, slow)), third);
    },
  },
  {
    name: "S19: a destroy by a key from before the change of the user ends the successor",
    excused: ["renewed", "revoke"],
    async run(at) {
      const old = await at.create();
      const key = await at.commit(old, { renewTo: at.newKey(), userChanged: true });
      assert.notEqual(await at.again.destroy(old), undefined);
      assert.equal(await at.status(key), "none");
    },
  },
  {
    name: "S19: no write by the old key is applied after a change of the user beside it",
    excused: ["renewed", "merge"],
    async run(at) {
      const old = await at.create();
      const renewTo = at.newKey();
      const results = await race(
        ...times(30, (n) => async () => {
          const renewal = n === 10 ? { renewTo, userChanged: true as const } : {};
          const write = change({ set: new Map([[`entry ${n}`, "1"]]), ...renewal });
          return at.handle(n).commit(old, write);
        }),
      );
      const stored = times(30, (n) => `entry ${n}`).filter(
        (_, n) => results[n]?.status === "saved",
      );
      assert.equal(results[10]?.status, "saved");
      for (const { status } of results) assert.ok(status === "saved" || status === "renewed");
      assert.deepEqual(await at.values(renewTo), sorted(new Map(stored.map((it) => [it, "1"]))));
      const late = change({ set: new Map([["late", "1"]]) });
      assert.deepEqual(await at.again.commit(old, late), { status: "renewed" });
    },
  },
  {
    name: "S7: a writer with the old key is gone after a minute, and a destroy ends nothing",
    excused: ["renewed"],
    async run(at) {
      const old = await at.create();
      const key = await at.commit(old, { renewTo: at.newKey() });
      await at.advance(RENEWED_FOR + 10 * SECOND);
      const late = change({ set: new Map([["late", "1"]]) });
      assert.equal((await at.store.commit(old, late)).status, "gone");
      assert.equal(await at.again.destroy(old), undefined);
      assert.deepEqual(await at.values(key), []);
    },
  },
  {
    name: "S7: a second renewal of the old key is refused and applies nothing",
    excused: ["renewed"],
    async run(at) {
      const [owner, another] = [newOwner(), at.newKey()];
      const old = await at.create();
      const key = await at.commit(old, { renewTo: at.newKey() });
      await at.advance(SECOND);
      const before = await at.load(key);
      const second = change({
        renewTo: another,
        set: new Map([["a", "1"]]),
        addOwners: new Set([owner]),
        touch: true,
        restart: true,
      });
      assert.deepEqual(await at.again.commit(old, second), { status: "renewed" });
      assert.deepEqual((await at.load(key)).record, before.record);
      assert.equal(await at.status(another), "none");
    },
  },
  {
    name: "S7: of 10 concurrent renewals one is saved and leaves the one live key",
    excused: ["renewed"],
    async run(at) {
      const old = await at.create();
      const keys = times(10, () => at.newKey());
      const results = await race(
        ...keys.map(
          (renewTo, n) => () =>
            at.handle(n).commit(old, change({ renewTo, set: new Map([[`login ${n}`, "1"]]) })),
        ),
      );
      const winner = results.findIndex(({ status }) => status === "saved");
      assert.equal(results.filter(({ status }) => status === "renewed").length, 9);
      assert.equal(await at.status(old), "renewed");
      for (const [n, key] of keys.entries()) {
        assert.equal(await at.status(key), n === winner ? "live" : "none");
      }
      assert.deepEqual(await at.values(keys[winner] as string), [[`login ${winner}`, "1"]]);
    },
  },
  {
    name: "S7: a renewal loses no concurrent writer",
    excused: ["renewed", "merge"],
    async run(at) {
      const old = await at.create();
      const renewTo = at.newKey();
      const names = times(30, (n) => `entry ${n}`);
      await race(
        ...names.map((name, n) => async () => {
          const renewal = n === 15 ? { renewTo } : {};
          const write = change({ set: new Map([[name, "1"]]), ...renewal });
          saved(await at.handle(n).commit(old, write));
        }),
      );
      assert.deepEqual(await at.values(renewTo), sorted(new Map(names.map((name) => [name, "1"]))));
    },
  },
  {
    name: "S7: a destroy with the old key ends the successor",
    excused: ["renewed", "revoke"],
    async run(at) {
      const record = newRecord({ owners: new Set([newOwner()]) });
      const old = await at.store.create(at.newKey(), record);
      const key = await at.commit(old, { renewTo: at.newKey() });
      const ended = await at.again.destroy(old);
      assert.deepEqual(ended, { publicId: record.publicId, owners: record.owners });
      assert.equal(await at.status(key), "none");
      assert.equal(await at.status(old), "none");
      assert.equal((await at.store.commit(old, change({ touch: true }))).status, "gone");
    },
  },
  {
    name: "S7: every key of a chain of renewals leads to the one live session",
    excused: ["renewed", "revoke"],
    async run(at) {
      const first = await at.create();
      const second = await at.commit(first, { renewTo: at.newKey() });
      await at.advance(RENEWED_FOR / 2);
      const third = await at.commit(second, { renewTo: at.newKey() });
      assert.equal(await at.status(first), "renewed");
      assert.equal(await at.status(second), "renewed");
      const slow = change({ set: new Map([["slow", "1"]]) });
      assert.equal(saved(await at.again.commit(first, slow)), first);
      assert.deepEqual(await at.values(third), [["slow", "1"]]);

      await at.advance(RENEWED_FOR / 2 + 10 * SECOND);
      assert.equal(await at.status(first), "none");
      assert.equal(await at.status(second), "renewed");
      await at.store.destroy(second);
      assert.equal(await at.status(third), "none");
    },
  },
  {
    name: "S7: after many renewals in a minute the last keys still write, and no call takes long",
    excused: ["renewed"],
    async run(at) {
      const keys = [await at.create()];
      for (const _ of times(60, () => 0)) {
        keys.push(await at.commit(keys.at(-1) as string, { renewTo: at.newKey() }));
      }
      const [last, before] = [keys.at(-1) as string, keys.at(-2) as string];
      const slow = change({ set: new Map([["slow", "1"]]) });
      assert.equal((await at.again.commit(before, slow)).status, "saved");
      assert.deepEqual(await at.values(last), [["slow", "1"]]);
      assert.notEqual(await at.status(keys[0] as string), "live");
      assert.equal(await at.status(before), "renewed");
    },
  },
  {
    name: "S7: a successor that has expired can't be reached by the old key",
    excused: ["renewed"],
    async run(at) {
      const old = await at.create({ idle: 30 * SECOND });
      const key = await at.commit(old, { renewTo: at.newKey() });
      await at.advance(40 * SECOND);
      assert.equal(await at.status(key), "none");
      assert.notEqual(await at.status(old), "live");
      assert.equal((await at.store.commit(old, change({ touch: true }))).status, "gone");
      assert.equal(await at.again.destroy(old), undefined);
    },
  },
  {
    name: "S7: a renewal to a key in use fails and harms neither session",
    excused: ["taken"],
    async run(at) {
      const key = await at.create({ values: new Map([["whose", "first"]]) });
      const taken = await at.create({ values: new Map([["whose", "second"]]) });
      await at.advance(SECOND);
      const [first, second] = [await at.load(key), await at.load(taken)];
      const renewal = change({ renewTo: taken, set: new Map([["a", "1"]]), touch: true });
      await failsWith("ERR_SESSION_KEY_TAKEN", () => at.again.commit(key, renewal));
      assert.deepEqual((await at.load(key)).record, first.record);
      assert.deepEqual((await at.load(taken)).record, second.record);
    },
  },
  {
    name: "S7: a renewal to the key that the session has fails and changes nothing",
    excused: ["taken"],
    async run(at) {
      const key = await at.create({ values: new Map([["a", "1"]]) });
      const before = await at.load(key);
      const renewal = change({ renewTo: key, set: new Map([["a", "2"]]), touch: true });
      await failsWith("ERR_SESSION_KEY_TAKEN", () => at.again.commit(key, renewal));
      assert.deepEqual((await at.load(key)).record, before.record);
    },
  },
  {
    name: "S7: the key of a renewed session stays taken while it is remembered",
    excused: ["renewed", "taken"],
    async run(at) {
      const old = await at.create();
      const key = await at.commit(old, { renewTo: at.newKey() });
      await failsWith("ERR_SESSION_KEY_TAKEN", () => at.again.create(old, newRecord()));
      assert.equal(await at.status(old), "renewed");
      await at.advance(RENEWED_FOR + 10 * SECOND);
      await at.store.create(old, newRecord({ values: new Map([["whose", "another's"]]) }));
      await at.store.destroy(key);
      assert.deepEqual(await at.values(old), [["whose", "another's"]]);
    },
  },
];
