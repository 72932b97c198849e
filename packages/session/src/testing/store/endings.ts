import assert from "node:assert/strict";
import type { Change } from "../../store.ts";
import { type Case, change, newOwner, newRecord, type Place, pop, race, times } from "./case.ts";

const writers: readonly (readonly [string, (at: Place) => Partial<Change>])[] = [
  ["a set", () => ({ set: new Map([["a", "2"]]) })],
  ["a touch", () => ({ touch: true })],
  ["a pop", () => pop("a", "1")],
  ["a renewal", (at) => ({ renewTo: at.newKey() })],
  ["a longer life", () => ({ idle: 1e9, absolute: 1e9, restart: true, touch: true })],
  ["a new owner", () => ({ addOwners: new Set([newOwner()]) })],
];

const logouts: readonly Case[] = writers.map(([what, changes]) => ({
  name: `S6: a logout beats ${what} beside it, whichever comes first`,
  excused: ["revoke", "final"],
  async run(at: Place) {
    for (const position of [0, 1, 2, 3, 4]) {
      const record = newRecord({ values: new Map([["a", "1"]]), owners: new Set([newOwner()]) });
      const key = await at.store.create(at.newKey(), record);
      const writes = times(4, () => change(changes(at)));
      const calls = writes.map(
        (write, n) => async () => void (await at.handle(n).commit(key, write)),
      );
      calls.splice(position, 0, async () => {
        assert.equal((await at.again.destroy(key))?.publicId, record.publicId);
      });
      await race(...calls);

      for (const { renewTo } of writes) {
        if (renewTo !== undefined) assert.equal(await at.status(renewTo), "none");
      }
      assert.equal(await at.status(key), "none");
      assert.equal((await at.again.commit(key, change(changes(at)))).status, "gone");
      if (!at.limits.includes("index")) {
        const owners = writes.flatMap(({ addOwners }) => [...(addOwners ?? [])]);
        for (const owner of [...record.owners, ...owners]) {
          assert.deepEqual(await at.listed(owner), []);
        }
      }
    }
  },
}));

/** A session is destroyed. */
export const endings: readonly Case[] = [
  {
    name: "S6: a destroy answers once what it has ended",
    excused: ["revoke"],
    async run(at) {
      const record = newRecord({ owners: new Set([newOwner(), newOwner()]) });
      const key = await at.store.create(at.newKey(), record);
      assert.deepEqual(await at.store.destroy(key), {
        publicId: record.publicId,
        owners: record.owners,
      });
      assert.equal(await at.again.destroy(key), undefined);
    },
  },
  {
    name: "S6: of 10 concurrent destroys exactly one has ended the session",
    excused: ["revoke", "final"],
    async run(at) {
      const key = await at.create();
      const ended = await race(...times(10, (n) => () => at.handle(n).destroy(key)));
      const count = ended.filter((session) => session !== undefined).length;
      assert.equal(count, 1, `${count} of 10 concurrent destroys say that they ended the session`);
    },
  },
  {
    name: "S6: a slow writer doesn't revive a destroyed session",
    excused: ["revoke"],
    async run(at) {
      for (const [, changes] of writers) {
        const key = await at.create({ values: new Map([["a", "1"]]) });
        assert.equal((await at.store.load(key)).status, "live");
        await at.again.destroy(key);
        const late = change(changes(at));
        assert.deepEqual(await at.store.commit(key, late), { status: "gone" });
        assert.equal(await at.status(key), "none");
        if (late.renewTo !== undefined) assert.equal(await at.status(late.renewTo), "none");
      }
    },
  },
  {
    name: "S6: a destroy ends no other session",
    excused: ["revoke"],
    async run(at) {
      const owners = new Set([newOwner()]);
      const [key, other] = [await at.create({ owners }), await at.create({ owners })];
      await at.store.destroy(key);
      assert.equal(await at.status(other), "live");
    },
  },
  ...logouts,
];
