import assert from "node:assert/strict";
import type { Ended, NewRecord } from "../../store.ts";
import {
  type Case,
  change,
  failsWith,
  newOwner,
  newRecord,
  type Place,
  race,
  SECOND,
  times,
} from "./case.ts";

const ended: string[] = [];
const limited = (owner: string, limit: number, overflow: "refuse" | "end-oldest") => ({
  owner,
  limit,
  overflow,
  onEnded: (all: readonly Ended[]) => ended.push(...all.map(({ publicId }) => publicId)),
});

const obeys = (at: Place) => at.index.limitsOwners === true;

/** A user's sessions are bounded. A store without `limitsOwners` is never asked to. */
export const ownerLimits: readonly Case[] = [
  {
    name: "S21: with end-oldest the longest unused sessions of the owner end for a new one",
    excused: ["index"],
    async run(at) {
      if (!obeys(at)) return;
      const owner = newOwner();
      const sessions: NewRecord[] = [];
      for (const _ of times(4, () => 0)) {
        const record = newRecord({ owners: new Set([owner]) });
        await at.store.create(at.newKey(), record);
        sessions.push(record);
        await at.advance(SECOND);
      }
      const stranger = await at.create({ owners: new Set([newOwner()]) });
      const record = newRecord({ owners: new Set([owner]) });
      ended.length = 0;
      await at.again.create(at.newKey(), {
        ...record,
        limitOwner: limited(owner, 3, "end-oldest"),
      });
      assert.deepEqual(
        ended.sort(),
        sessions
          .slice(0, 2)
          .map(({ publicId }) => publicId)
          .sort(),
      );
      const left = [...sessions.slice(2), record].map(({ publicId }) => publicId).sort();
      assert.deepEqual(await at.listed(owner), left);
      assert.equal(await at.status(stranger), "live");
    },
  },
  {
    name: "S21: with refuse nothing is applied, and no session ends",
    excused: ["index"],
    async run(at) {
      if (!obeys(at)) return;
      const owner = newOwner();
      const limitOwner = limited(owner, 2, "refuse");
      for (const _ of times(2, () => 0)) {
        const record = newRecord({ owners: new Set([owner]) });
        await at.store.create(at.newKey(), { ...record, limitOwner });
      }
      const key = at.newKey();
      await failsWith("ERR_SESSION_LIMIT", () =>
        at.again.create(key, { ...newRecord({ owners: new Set([owner]) }), limitOwner }),
      );
      assert.equal(await at.status(key), "none");
      const old = await at.create({ values: new Map([["cart", "1"]]) });
      const renewTo = at.newKey();
      const login = change({ renewTo, addOwners: new Set([owner]), limitOwner });
      await failsWith("ERR_SESSION_LIMIT", () => at.again.commit(old, login));
      assert.equal(await at.status(renewTo), "none");
      assert.deepEqual(await at.values(old), [["cart", "1"]]);
      assert.equal((await at.listed(owner)).length, 2);
    },
  },
  {
    name: "S21: of 20 sign-ins at once no more than the limit live when all have returned",
    excused: ["index"],
    async run(at) {
      if (!obeys(at)) return;
      const owner = newOwner();
      const limitOwner = limited(owner, 3, "end-oldest");
      await race(
        ...times(20, (n) => async () => {
          if (n % 2) {
            const record = newRecord({ owners: new Set([owner]) });
            return at.handle(n).create(at.newKey(), { ...record, limitOwner });
          }
          const old = await at.create();
          const login = change({ renewTo: at.newKey(), addOwners: new Set([owner]), limitOwner });
          return at.handle(n).commit(old, login);
        }),
      );
      const living = (await at.listed(owner)).length;
      assert.equal(living, 3, `${living} of 20 concurrent sign-ins live, and the limit is 3`);
    },
  },
];
