import assert from "node:assert/strict";
import {
  type Case,
  change,
  isAbout,
  MINUTE,
  newOwner,
  newRecord,
  race,
  saved,
  sorted,
  times,
} from "./case.ts";

/** A session is changed by whoever knows one of its owners and its public id, but not its key. */
export const byPublicId: readonly Case[] = [
  {
    name: "U4: a session is renewed by its owner and public id, with its data and its time",
    excused: ["index", "renewed"],
    async run(at) {
      const [owner, other] = [newOwner(), newOwner()];
      const record = newRecord({ owners: new Set([owner, other]), values: new Map([["a", "1"]]) });
      const old = await at.store.create(at.newKey(), record);
      await at.advance(MINUTE);
      const renewTo = at.newKey();
      const renewal = change({
        renewTo,
        touch: true,
        set: new Map([["b", "2"]]),
        removeOwners: new Set([other]),
      });
      const result = await at.indexAgain.commitByPublicId(other, record.publicId, {
        ...renewal,
        renewTo,
      });
      assert.deepEqual(result, { status: "saved", key: renewTo });
      assert.equal(await at.status(old), "renewed");
      const { record: now } = await at.load(renewTo);
      assert.deepEqual(sorted(now.values), [
        ["a", "1"],
        ["b", "2"],
      ]);
      assert.equal(now.publicId, record.publicId);
      isAbout(now.seenAt - now.startedAt, MINUTE, "the time since the sign-in");
      assert.deepEqual(now.owners, new Set([owner]));
      assert.deepEqual(await at.listed(owner), [record.publicId]);
      assert.deepEqual(await at.listed(other), []);
    },
  },
  {
    name: "U4: a session is renewed by its public id after other renewals",
    excused: ["index", "renewed"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]) });
      const first = await at.store.create(at.newKey(), record);
      const second = await at.commit(first, { renewTo: at.newKey() });
      const renewTo = at.newKey();
      const renewal = { ...change(), renewTo };
      saved(await at.index.commitByPublicId(owner, record.publicId, renewal));
      for (const key of [first, second]) assert.equal(await at.status(key), "renewed");
      assert.equal(await at.status(renewTo), "live");
    },
  },
  {
    name: "U4: an ended, an expired or a foreign public id is gone, and nothing is applied",
    excused: ["index", "renewed"],
    async run(at) {
      const [owner, stranger] = [newOwner(), newOwner()];
      const owners = new Set([owner]);
      const [ended, expired, other] = [
        newRecord({ owners }),
        newRecord({ owners, idle: MINUTE }),
        newRecord({ owners }),
      ];
      const endedKey = await at.store.create(at.newKey(), ended);
      await at.store.create(at.newKey(), expired);
      const otherKey = await at.store.create(at.newKey(), other);
      await at.again.destroy(endedKey);
      await at.advance(2 * MINUTE);
      const renew = (whose: string, publicId: string) =>
        at.index.commitByPublicId(whose, publicId, { ...change(), renewTo: at.newKey() });
      for (const it of [ended, expired]) {
        assert.deepEqual(await renew(owner, it.publicId), { status: "gone" });
      }
      assert.deepEqual(await renew(stranger, other.publicId), { status: "gone" });
      assert.deepEqual(await renew(owner, "unknown"), { status: "gone" });
      assert.equal(await at.status(otherKey), "live");
    },
  },
  {
    name: "U4: of many renewals that take the owner away exactly one is applied",
    excused: ["index", "renewed"],
    async run(at) {
      const [user, owner] = [newOwner(), newOwner()];
      const record = newRecord({ owners: new Set([user, owner]) });
      await at.store.create(at.newKey(), record);
      const keys = times(10, () => at.newKey());
      const results = await race(
        ...keys.map((renewTo, n) => () => {
          const index = n % 2 ? at.index : at.indexAgain;
          const renewal = { ...change({ removeOwners: new Set([owner]) }), renewTo };
          return index.commitByPublicId(owner, record.publicId, renewal);
        }),
      );
      const applied = results.filter(({ status }) => status === "saved");
      assert.equal(applied.length, 1);
      assert.equal(results.filter(({ status }) => status === "gone").length, 9);
      const statuses = await race(...keys.map((key) => () => at.status(key)));
      assert.equal(statuses.filter((it) => it === "live").length, 1);
      assert.deepEqual(await at.listed(user), [record.publicId]);
    },
  },
  {
    name: "U4: a repeated renewal by public id is applied once, also if it took the last owner away",
    excused: ["index", "renewed", "repeat"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]) });
      await at.store.create(at.newKey(), record);
      const renewTo = at.newKey();
      const renewal = { ...change({ removeOwners: new Set([owner]) }), renewTo };
      const first = await at.index.commitByPublicId(owner, record.publicId, renewal);
      await at.commit(renewTo, { set: new Map([["later", "1"]]) });
      const repeat = await at.indexAgain.commitByPublicId(owner, record.publicId, renewal);
      assert.deepEqual(repeat, first);
      assert.deepEqual(await at.values(renewTo), [["later", "1"]]);
      assert.equal(await at.status(renewTo), "live");
    },
  },
  {
    name: "U4: a renewal by public id beside an end: ended whichever comes first",
    excused: ["index", "renewed", "revoke"],
    async run(at) {
      for (const n of times(20, (it) => it)) {
        const owner = newOwner();
        const record = newRecord({ owners: new Set([owner]) });
        const key = await at.store.create(at.newKey(), record);
        const renewTo = at.newKey();
        const renew = () =>
          at.index.commitByPublicId(owner, record.publicId, { ...change(), renewTo });
        const end = () => (n % 4 < 2 ? at.again.destroy(key) : at.indexAgain.destroyAll(owner));
        await race<unknown>(...(n % 2 ? [renew, end] : [end, renew]));
        assert.equal(await at.status(renewTo), "none");
        assert.deepEqual(await at.listed(owner), []);
      }
    },
  },
  {
    name: "U2: a list that asks for some entries returns these and no others",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const owners = new Set([owner]);
      const values = new Map([
        ["device:a", "1"],
        ["d:secret", "2"],
        ["device:b", "3"],
      ]);
      const record = newRecord({ owners, values });
      const key = await at.store.create(at.newKey(), record);
      await at.create({ owners });
      await at.commit(key, { renewTo: at.newKey() });
      const entries = new Set(["device:a", "device:b", "device:none"]);
      const listed = await at.indexAgain.list(owner, { entries });
      assert.deepEqual(listed.map((it) => sorted(it.values)).sort(), [
        [],
        [
          ["device:a", "1"],
          ["device:b", "3"],
        ],
      ]);
      const whole = await at.index.list(owner);
      for (const it of listed) {
        const { values: _, ...other } = whole.find((one) => one.publicId === it.publicId) ?? {};
        assert.deepEqual({ ...it, values: undefined }, { ...other, values: undefined });
      }
      const none = await at.index.list(owner, { entries: new Set() });
      assert.deepEqual(
        none.map((it) => it.values.size),
        [0, 0],
      );
    },
  },
];
