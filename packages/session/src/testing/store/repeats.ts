import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Ended } from "../../store.ts";
import {
  type Case,
  change,
  MINUTE,
  newOwner,
  newRecord,
  type Place,
  pop,
  publicIds,
  race,
  SECOND,
  saved,
  times,
} from "./case.ts";

/** A session with an owner, its key, and what an end of it returns. */
async function begin(at: Place, owner = newOwner()) {
  const record = newRecord({ owners: new Set([owner]) });
  const key = await at.store.create(at.newKey(), record);
  const ended: Ended = { publicId: record.publicId, owners: record.owners };
  return { key, owner, ended };
}

/** If a client reconnects, it sends every command again whose reply it hasn't received. */
export const repeats: readonly Case[] = [
  {
    name: "S17: a repeated create gets the first answer and overwrites nothing",
    excused: ["repeat"],
    async run(at) {
      const owner = newOwner();
      const record = newRecord({ owners: new Set([owner]) });
      const key = await at.store.create(at.newKey(), record);
      await at.commit(key, { set: new Map([["a", "1"]]) });
      assert.equal(await at.again.create(key, record), key);
      assert.deepEqual(await at.values(key), [["a", "1"]]);
      if (!at.limits.includes("index")) assert.equal((await at.listed(owner)).length, 1);
    },
  },
  {
    name: "S17: a repeated set doesn't undo what came after it",
    excused: ["repeat"],
    async run(at) {
      const key = await at.create();
      const first = change({ set: new Map([["a", "first"]]) });
      const answer = await at.store.commit(key, first);
      await at.commit(key, { set: new Map([["a", "second"]]) });
      assert.deepEqual(await at.again.commit(key, first), answer);
      assert.deepEqual(await at.values(key), [["a", "second"]]);
    },
  },
  {
    name: "S17: a repeated update counts once",
    excused: ["repeat"],
    async run(at) {
      const key = await at.create({ values: new Map([["count", "1"]]) });
      const update = change({ set: new Map([["count", "2"]]), expect: new Map([["count", "1"]]) });
      saved(await at.store.commit(key, update));
      await at.commit(key, { set: new Map([["count", "1"]]) });
      saved(await at.again.commit(key, update));
      assert.deepEqual(await at.values(key), [["count", "1"]]);
    },
  },
  {
    name: "S17: a repeated pop still has its value",
    excused: ["repeat"],
    async run(at) {
      const key = await at.create({ values: new Map([["message", "hello"]]) });
      const take = pop("message", "hello");
      const answer = await at.store.commit(key, take);
      saved(answer);
      assert.deepEqual(await at.again.commit(key, take), answer);
      assert.equal((await at.store.commit(key, pop("message", "hello"))).status, "conflict");
    },
  },
  {
    name: "S17: a pop that is sent twice at once is one pop",
    excused: ["repeat", "once"],
    async run(at) {
      const key = await at.create({ values: new Map([["message", "hello"]]) });
      const take = pop("message", "hello");
      const answers = await race(...times(6, (n) => () => at.handle(n).commit(key, take)));
      for (const answer of answers) saved(answer);
    },
  },
  {
    name: "S17: a repeated touch doesn't extend again",
    excused: ["repeat"],
    async run(at) {
      const key = await at.create({ idle: 10 * MINUTE });
      const touch = change({ touch: true });
      await at.store.commit(key, touch);
      await at.advance(8 * MINUTE);
      saved(await at.again.commit(key, touch));
      await at.advance(4 * MINUTE);
      assert.equal(await at.status(key), "none");
    },
  },
  {
    name: "S17: a repeated change of owners doesn't undo what came after it",
    excused: ["repeat"],
    async run(at) {
      const owner = newOwner();
      const key = await at.create();
      const join = change({ addOwners: new Set([owner]) });
      await at.store.commit(key, join);
      await at.commit(key, { removeOwners: new Set([owner]) });
      saved(await at.again.commit(key, join));
      assert.deepEqual((await at.load(key)).record.owners, new Set());
      if (!at.limits.includes("index")) assert.deepEqual(await at.listed(owner), []);
    },
  },
  {
    name: "S17: a repeated renewal answers the new key again",
    excused: ["repeat", "renewed"],
    async run(at) {
      const old = await at.create();
      const renewal = change({ renewTo: at.newKey(), set: new Map([["user", "ada"]]) });
      const answer = await at.store.commit(old, renewal);
      const key = saved(answer);
      await at.commit(key, { set: new Map([["user", "bob"]]) });
      assert.deepEqual(await at.again.commit(old, renewal), answer);
      assert.deepEqual(await at.values(key), [["user", "bob"]]);
      assert.equal(await at.status(old), "renewed");
    },
  },
  {
    name: "S17: a renewal that is sent twice at once is one renewal",
    excused: ["repeat", "renewed"],
    async run(at) {
      const old = await at.create();
      const renewal = change({ renewTo: at.newKey() });
      const answers = await race(...times(6, (n) => () => at.handle(n).commit(old, renewal)));
      for (const answer of answers) assert.equal(saved(answer), renewal.renewTo);
    },
  },
  {
    name: "S17: a repeated destroy returns again what it has ended, for a minute",
    excused: ["repeat", "revoke"],
    async run(at) {
      const operation = randomUUID();
      const { key, ended } = await begin(at);
      assert.deepEqual(await at.store.destroy(key, operation), ended);
      assert.deepEqual(await at.again.destroy(key, operation), ended);
      assert.equal(await at.store.destroy(key, randomUUID()), undefined);
      assert.equal(await at.store.destroy(key), undefined);
      await at.advance(50 * SECOND);
      assert.deepEqual(await at.again.destroy(key, operation), ended);
      assert.equal(await at.status(key), "none");
    },
  },
  {
    name: "S17: a repeated destroy by an old key returns again what it has ended",
    excused: ["repeat", "revoke", "renewed"],
    async run(at) {
      const operation = randomUUID();
      const { key: old, ended } = await begin(at);
      const key = await at.commit(old, { renewTo: at.newKey() });
      assert.deepEqual(await at.again.destroy(old, operation), ended);
      assert.deepEqual(await at.store.destroy(old, operation), ended);
      assert.equal(await at.status(key), "none");
    },
  },
  {
    name: "S17: a destroy that is sent several times at once has ended the session, says each",
    excused: ["repeat", "revoke"],
    async run(at) {
      const operation = randomUUID();
      const { key, ended } = await begin(at);
      const all = await race(...times(6, (n) => () => at.handle(n).destroy(key, operation)));
      for (const one of all) assert.deepEqual(one, ended);
    },
  },
  {
    name: "S17: a repeated destroyByPublicId returns again what it has ended",
    excused: ["repeat", "index"],
    async run(at) {
      const operation = randomUUID();
      const { owner, ended } = await begin(at);
      const { publicId } = ended;
      assert.deepEqual(await at.index.destroyByPublicId(owner, publicId, operation), ended);
      assert.deepEqual(await at.indexAgain.destroyByPublicId(owner, publicId, operation), ended);
      assert.equal(await at.index.destroyByPublicId(owner, publicId, randomUUID()), undefined);
      const stranger = newOwner();
      assert.equal(
        await at.indexAgain.destroyByPublicId(stranger, publicId, randomUUID()),
        undefined,
      );
    },
  },
  {
    name: "S17: a repeated destroyAll returns again all that it has ended",
    excused: ["repeat", "index"],
    async run(at) {
      const [owner, operation] = [newOwner(), randomUUID()];
      const all = [];
      for (const _ of times(5, () => 0)) all.push((await begin(at, owner)).ended);
      const [except, ...due] = all as [Ended, ...Ended[]];
      const options = { except: except.publicId, operation };
      assert.deepEqual(publicIds(await at.index.destroyAll(owner, options)), publicIds(due));
      const repeated = await at.indexAgain.destroyAll(owner, options);
      assert.deepEqual(publicIds(repeated), publicIds(due));
      for (const { owners } of repeated) assert.deepEqual(owners, new Set([owner]));
      assert.deepEqual(await at.index.destroyAll(owner, { except: except.publicId }), []);
      assert.deepEqual(await at.listed(owner), [except.publicId]);
    },
  },
  {
    name: "S16: a session that begins after a destroyAll survives its repeat",
    excused: ["repeat", "index"],
    async run(at) {
      const [owner, operation] = [newOwner(), randomUUID()];
      const { ended } = await begin(at, owner);
      assert.deepEqual(await at.index.destroyAll(owner, { operation }), [ended]);
      const later = await begin(at, owner);
      assert.deepEqual(await at.indexAgain.destroyAll(owner, { operation }), [ended]);
      assert.equal(await at.status(later.key), "live");
      assert.deepEqual(await at.listed(owner), [later.ended.publicId]);
    },
  },
  {
    name: "S17: a repeat revives no destroyed session",
    excused: ["repeat", "revoke"],
    async run(at) {
      const key = await at.create();
      const write = change({ set: new Map([["a", "1"]]), touch: true });
      saved(await at.store.commit(key, write));
      await at.store.destroy(key);
      await at.again.commit(key, write);
      assert.equal(await at.status(key), "none");
    },
  },
];
