import assert from "node:assert/strict";
import { DEVICE, LABEL } from "../../devices/device.ts";
import {
  type Case,
  change,
  MINUTE,
  newOwner,
  newRecord,
  race,
  saved,
  sorted,
  times,
} from "./case.ts";

/** The entries of a list of devices. */
const SHOWN = new Set([DEVICE, LABEL]);

/** A session's device, which its user names in a list: by the public id, without the key. */
export const devices: readonly Case[] = [
  {
    name: "U7: one call lists the devices of a user without the app's values, and none that has ended",
    excused: ["index", "revoke"],
    async run(at) {
      const owner = newOwner();
      const device = '{"v":1,"browser":"Firefox on Linux"}';
      const values = new Map([
        [DEVICE, device],
        ["d:secret", "1"],
      ]);
      const [here, there] = times(2, () => newRecord({ owners: new Set([owner]), values }));
      const keys = [];
      for (const it of [here, there]) if (it) keys.push(await at.store.create(at.newKey(), it));
      const label = change({ set: new Map([[LABEL, '"Desk"']]) });
      saved(await at.index.commitByPublicId(owner, here?.publicId ?? "", label));
      const listed = async () => {
        const all = await at.indexAgain.list(owner, { entries: SHOWN });
        return all
          .map(({ publicId, values: shown }) => [publicId === here?.publicId, sorted(shown)])
          .sort((a, b) => Number(b[0]) - Number(a[0]));
      };
      const named = [
        true,
        sorted(
          new Map([
            [DEVICE, device],
            [LABEL, '"Desk"'],
          ]),
        ),
      ];
      const unnamed = [false, [[DEVICE, device]]];
      assert.deepEqual(await listed(), [named, unnamed]);
      await at.again.destroy(keys[0] ?? "");
      assert.deepEqual(await listed(), [unnamed]);
      await at.indexAgain.destroyByPublicId(owner, there?.publicId ?? "");
      assert.deepEqual(await listed(), []);
    },
  },
  {
    name: "U7: a change by public id reaches the session by any key, and isn't a use of it",
    excused: ["index", "renewed"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]), values: new Map([["a", "1"]]) });
      const first = await at.store.create(at.newKey(), record);
      const { record: before } = await at.load(first);
      const label = (text: string) =>
        at.indexAgain.commitByPublicId(
          owner,
          record.publicId,
          change({ set: new Map([[LABEL, text]]) }),
        );
      await at.advance(MINUTE);
      saved(await label("1"));
      const { record: after } = await at.load(first);
      assert.equal(after.seenAt - after.createdAt, before.seenAt - before.createdAt);
      assert.deepEqual(sorted(after.values), [
        ["a", "1"],
        [LABEL, "1"],
      ]);
      const second = await at.commit(first, { renewTo: at.newKey() });
      saved(await label("2"));
      assert.deepEqual(await at.values(second), [
        ["a", "1"],
        [LABEL, "2"],
      ]);
      const off = change({ delete: new Set([LABEL]), expect: new Map([[LABEL, "2"]]) });
      saved(await at.index.commitByPublicId(owner, record.publicId, off));
      assert.deepEqual(await at.values(second), [["a", "1"]]);
      assert.equal(await at.status(first), "renewed");
      const late = { ...off, operation: change().operation };
      const { status } = await at.index.commitByPublicId(owner, record.publicId, late);
      assert.equal(status, "conflict");
    },
  },
  {
    name: "U7: a change by the public id of a foreign, unknown or ended session is gone",
    excused: ["index", "revoke"],
    async run(at) {
      const [owner, stranger] = [newOwner(), newOwner()];
      const owners = new Set([owner]);
      const [living, ended] = [newRecord({ owners }), newRecord({ owners })];
      const key = await at.store.create(at.newKey(), living);
      const endedKey = await at.store.create(at.newKey(), ended);
      await at.again.destroy(endedKey);
      const label = (whose: string, publicId: string) =>
        at.index.commitByPublicId(whose, publicId, change({ set: new Map([[LABEL, "1"]]) }));
      for (const [whose, publicId] of [
        [stranger, living.publicId],
        [owner, "unknown"],
        [owner, ended.publicId],
      ] as const) {
        assert.deepEqual(await label(whose, publicId), { status: "gone" });
      }
      assert.equal(await at.status(endedKey), "none");
      assert.deepEqual(await at.values(key), sorted(living.values));
    },
  },
  {
    name: "U7: a repeated change by public id is applied once, and changes by both names survive",
    excused: ["index", "merge", "repeat"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]), values: new Map() });
      const key = await at.store.create(at.newKey(), record);
      const label = (text: string) => change({ set: new Map([[LABEL, text]]) });
      const first = label("1");
      const by = (it: typeof first) => at.indexAgain.commitByPublicId(owner, record.publicId, it);
      const result = await by(first);
      saved(await by(label("2")));
      assert.deepEqual(await by(first), result);
      assert.deepEqual(await at.values(key), [[LABEL, "2"]]);
      const set = (name: string) => change({ set: new Map([[name, "1"]]) });
      await race<unknown>(
        ...times(10, (n) => () => (n % 2 ? at.store.commit(key, set(`k${n}`)) : by(set(`p${n}`)))),
      );
      assert.equal((await at.values(key)).length, 11);
    },
  },
  {
    name: "U7: a change by public id beside an end: ended whichever comes first",
    excused: ["index", "revoke", "final"],
    async run(at) {
      for (const n of times(20, (it) => it)) {
        const owner = newOwner();
        const record = newRecord({ owners: new Set([owner]) });
        const key = await at.store.create(at.newKey(), record);
        const label = () =>
          at.index.commitByPublicId(
            owner,
            record.publicId,
            change({ set: new Map([[LABEL, "1"]]) }),
          );
        const end = () => (n % 4 < 2 ? at.again.destroy(key) : at.indexAgain.destroyAll(owner));
        await race<unknown>(...(n % 2 ? [label, end] : [end, label]));
        assert.equal(await at.status(key), "none");
        assert.deepEqual(await at.listed(owner), []);
      }
    },
  },
];
