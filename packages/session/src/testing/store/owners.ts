import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import type { Key } from "../../store.ts";
import {
  type Case,
  change,
  countsAll,
  HOUR,
  MINUTE,
  newOwner,
  newRecord,
  publicIds,
  race,
  SECOND,
  saved,
  sorted,
  times,
} from "./case.ts";

/** Sessions are found by whom they belong to. */
export const owners: readonly Case[] = [
  {
    name: "S16: a list shows an owner's living sessions as they are, and never a key",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const keys: Key[] = [];
      for (const n of [1, 2, 3]) {
        keys.push(await at.create({ owners: new Set([owner]), values: new Map([["n", `${n}`]]) }));
      }
      await at.create({ owners: new Set([newOwner()]) });
      await at.create();

      const listed = await at.index.list(owner);
      const loaded = await Promise.all(keys.map(async (key) => (await at.load(key)).record));
      assert.deepEqual(publicIds(listed), publicIds(loaded));
      for (const record of loaded) {
        assert.deepEqual(
          listed.find(({ publicId }) => publicId === record.publicId),
          record,
        );
      }
      const shown = JSON.stringify(
        listed.map((record) => ({ ...record, values: sorted(record.values) })),
      );
      for (const key of keys) assert.ok(!shown.includes(key.slice(3)), "the list shows a key");
    },
  },
  {
    name: "S16: a list follows owners that are given and taken",
    excused: ["index"],
    async run(at) {
      const [ada, bob, client] = [newOwner(), newOwner(), newOwner()];
      const record = newRecord({ owners: new Set([client]) });
      const key = await at.store.create(at.newKey(), record);
      assert.deepEqual(await at.listed(client), [record.publicId]);
      assert.deepEqual(await at.listed(ada), []);

      await at.commit(key, { addOwners: new Set([ada]) });
      assert.deepEqual(await at.listed(ada), [record.publicId]);
      assert.deepEqual(await at.listed(client), [record.publicId]);

      await at.commit(key, { addOwners: new Set([bob]), removeOwners: new Set([ada, newOwner()]) });
      assert.deepEqual(await at.listed(ada), []);
      assert.deepEqual(await at.listed(bob), [record.publicId]);
      assert.deepEqual((await at.load(key)).record.owners, new Set([client, bob]));

      await at.commit(key, { removeOwners: new Set([client, bob]) });
      assert.deepEqual(await at.listed(client), []);
      assert.deepEqual(await at.listed(bob), []);
      assert.equal(await at.status(key), "live");
    },
  },
  {
    name: "S16: a list follows a renewal, and ends with the session",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]) });
      const key = await at.store.create(at.newKey(), record);
      const renewed = await at.commit(key, { renewTo: at.newKey() });
      assert.deepEqual(await at.listed(owner), [record.publicId]);
      await at.commit(key, { set: new Map([["slow", "1"]]) });
      assert.deepEqual(await at.listed(owner), [record.publicId]);
      await at.again.destroy(renewed);
      assert.deepEqual(await at.listed(owner), []);
    },
  },
  {
    name: "S16: owners are names, not patterns",
    excused: ["index"],
    async run(at) {
      const base = newOwner();
      const names = [
        "",
        "*",
        "?",
        "[a]",
        ":x",
        " ",
        "%",
        "_",
        "'",
        "\\",
        "__proto__",
        "é",
        "A",
        "a",
      ];
      for (const name of names) await at.create({ owners: new Set([base + name]) });
      for (const name of names) assert.equal((await at.listed(base + name)).length, 1, name);
      assert.equal((await at.index.destroyAll(`${base}*`)).length, 1);
      assert.equal((await at.listed(base)).length, 1);
    },
  },
  {
    name: "S16: an expired session is in no list, and can't be ended by its owner",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const owned = { owners: new Set([owner]) };
      const record = newRecord({ ...owned, idle: MINUTE });
      await at.store.create(at.newKey(), record);
      await at.create({ ...owned, idle: HOUR, absolute: MINUTE });
      const touched = await at.create({ ...owned, idle: MINUTE });
      await at.advance(50 * SECOND);
      await at.commit(touched, { touch: true });
      await at.advance(20 * SECOND);
      const { publicId } = (await at.load(touched)).record;
      assert.deepEqual(await at.listed(owner), [publicId]);
      assert.equal(await at.index.destroyByPublicId(owner, record.publicId), undefined);
      assert.deepEqual(publicIds(await at.index.destroyAll(owner)), [publicId]);
    },
  },
  {
    name: "S16: a session is ended by its public id, once",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]) });
      const key = await at.store.create(at.newKey(), record);
      const other = await at.create({ owners: new Set([owner]) });
      assert.deepEqual(await at.index.destroyByPublicId(owner, record.publicId), {
        publicId: record.publicId,
        owners: record.owners,
      });
      assert.equal(await at.indexAgain.destroyByPublicId(owner, record.publicId), undefined);
      assert.equal(await at.status(key), "none");
      assert.equal(await at.status(other), "live");
      assert.equal((await at.store.commit(key, change({ touch: true }))).status, "gone");
    },
  },
  {
    name: "S16: a renewed session keeps its public id",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]) });
      const old = await at.store.create(at.newKey(), record);
      const key = await at.commit(old, { renewTo: at.newKey() });
      const ended = await at.indexAgain.destroyByPublicId(owner, record.publicId);
      assert.equal(ended?.publicId, record.publicId);
      assert.equal(await at.status(key), "none");
      assert.equal(await at.status(old), "none");
    },
  },
  {
    name: "S16: a public id of another owner is like an unknown one",
    excused: ["index"],
    async run(at) {
      const [ada, mallory] = [newOwner(), newOwner()];
      const record = newRecord({ owners: new Set([ada]) });
      const key = await at.store.create(at.newKey(), record);
      await at.create({ owners: new Set([mallory]) });
      assert.equal(await at.index.destroyByPublicId(mallory, record.publicId), undefined);
      assert.equal(await at.index.destroyByPublicId(ada, "unknown"), undefined);
      assert.equal(await at.index.destroyByPublicId(newOwner(), record.publicId), undefined);
      assert.equal(await at.status(key), "live");
    },
  },
  {
    name: "S16: destroyAll ends an owner's sessions, but the excepted one and other owners'",
    excused: ["index"],
    async run(at) {
      const [ada, bob] = [newOwner(), newOwner()];
      const mine = newRecord({ owners: new Set([ada]) });
      const key = await at.store.create(at.newKey(), mine);
      const records = times(3, () => newRecord({ owners: new Set([ada, newOwner()]) }));
      const keys = await race(
        ...records.map((record) => () => at.store.create(at.newKey(), record)),
      );
      const others = await at.create({ owners: new Set([bob]) });

      const ended = await at.index.destroyAll(ada, { except: mine.publicId });
      assert.deepEqual(publicIds(ended), publicIds(records));
      for (const { publicId, owners } of ended) {
        assert.deepEqual(owners, records.find((record) => record.publicId === publicId)?.owners);
      }
      for (const gone of keys) assert.equal(await at.status(gone), "none");
      assert.equal(await at.status(key), "live");
      assert.equal(await at.status(others), "live");
      for (const { owners } of records) {
        for (const owner of owners) {
          assert.deepEqual(await at.listed(owner), owner === ada ? [mine.publicId] : []);
        }
      }
      assert.deepEqual(publicIds(await at.indexAgain.destroyAll(ada)), [mine.publicId]);
      assert.deepEqual(await at.indexAgain.destroyAll(ada), []);
      assert.equal(await at.status(key), "none");
    },
  },
  {
    name: "S16: 100 sign-ins race one sign-out everywhere: each has ended or lives",
    excused: ["index", "renewed", "revoke"],
    async run(at) {
      for (const position of [0, 30, 50, 70, 100]) {
        const owner = newOwner();
        const records = times(100, (n) => newRecord({ owners: new Set(n % 2 ? [owner] : []) }));
        const visitors = await race(
          ...records.map(
            (record, n) => async () =>
              n % 2 ? undefined : await at.handle(n).create(at.newKey(), record),
          ),
        );
        const keys: Key[] = [];
        let ended: string[] = [];
        const calls = records.map((record, n) => async () => {
          const visitor = visitors[n];
          const login = change({ renewTo: at.newKey(), addOwners: new Set([owner]) });
          const store = at.handle(n >> 1);
          keys[n] = visitor
            ? saved(await store.commit(visitor, login))
            : await store.create(at.newKey(), record);
        });
        calls.splice(position, 0, async () => {
          ended = publicIds(await at.indexAgain.destroyAll(owner));
        });
        await race(...calls);

        const living: string[] = [];
        for (const [n, { publicId }] of records.entries()) {
          if ((await at.status(keys[n] as Key)) === "live") living.push(publicId);
        }
        assert.deepEqual(await at.listed(owner), living.sort());
        countsAll(
          new Set([...living, ...ended]).size,
          records.length,
          "sign-ins neither live nor were returned as ended",
        );
        assert.deepEqual([...living, ...ended].sort(), publicIds(records));
      }
    },
  },
  {
    name: "S16: a sign-in that another process sees is ended by its sign-out everywhere",
    excused: ["index", "renewed", "revoke"],
    async run(at) {
      for (let n = 0; n < 20; n++) {
        const owner = newOwner();
        const owners = new Set([owner]);
        const visitor = n % 2 === 0 ? undefined : await at.create();
        const key = at.newKey();
        let isOver = false;
        const signIn = async () => {
          try {
            if (visitor === undefined) await at.store.create(key, newRecord({ owners }));
            else saved(await at.store.commit(visitor, change({ renewTo: key, addOwners: owners })));
          } finally {
            isOver = true;
          }
        };
        // In as many steps as it takes: from the moment that it shows, it can be found.
        const signOut = async () => {
          while ((await at.again.load(key)).status !== "live" && !isOver) await turn();
          await at.indexAgain.destroyAll(owner);
        };
        await race(signIn, signOut);
        assert.equal(await at.status(key), "none", `sign-in ${n} has outlived the sign-out`);
        assert.deepEqual(await at.listed(owner), []);
      }
    },
  },
  {
    name: "S16: two concurrent sign-outs everywhere end each session once",
    excused: ["index"],
    async run(at) {
      const owner = newOwner();
      const records = times(20, () => newRecord({ owners: new Set([owner]) }));
      for (const record of records) await at.store.create(at.newKey(), record);
      const ended = await race(
        () => at.index.destroyAll(owner),
        () => at.indexAgain.destroyAll(owner),
      );
      countsAll(
        new Set(publicIds(ended.flat())).size,
        records.length,
        "sessions were returned by neither sign-out",
      );
      const twice = ended.flat().length - records.length;
      assert.equal(twice, 0, `${twice} of ${records.length} sessions were ended twice`);
    },
  },
];
