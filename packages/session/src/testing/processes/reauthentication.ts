import assert from "node:assert/strict";
import { has, type Law, lacks } from "./law.ts";

/** Laws of `reauthenticate`, which moves the session to a new id that is as fresh as the proof. */
export const reauthentication: readonly Law[] = [
  {
    name: "U1: a write beside a re-authentication is in the fresh session",
    orders: ["the writer had found the session", "the writer came too late"],
    async round({ visitor, user, tally }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const [again, write] = await Promise.all([
        visitor.ask(`/again?by=otp&how=${visitor.ending()}`, cookie),
        visitor.ask(`/set?key=beside&value=1&how=${visitor.ending()}`, cookie),
      ]);
      tally(write.wasIn ? "the writer had found the session" : "the writer came too late");
      assert.notEqual(again.cookie, undefined);
      assert.notEqual(again.cookie, cookie);
      assert.equal(write.cookie, undefined);
      assert.equal(visitor.cookie, again.cookie);

      has(await visitor.seenBy(cookie), { user: null });
      const seen = await visitor.seenBy(again.cookie);
      has(seen, { user, methods: ["otp"] });
      // Who came with the dead id is a stranger, who stores nothing.
      if (write.wasIn) has(seen, { beside: "1" });
      else lacks(seen, "beside");
      await visitor.expectToReach(1);
    },
  },

  {
    name: "U1: a re-authentication beside a logout revives nothing, and a logout that came first is final",
    orders: [
      "the session was fresh, then ended",
      "the logout came too late",
      "the re-authentication came too late",
    ],
    async round({ visitor, user, tally, store }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const [logout, again] = await Promise.all([
        visitor.ask("/logout", cookie),
        visitor.ask(`/again?by=otp&how=${visitor.ending()}`, cookie),
      ]);
      // A logout that came with an id that was dead already had nothing to end, and says so.
      assert.equal(logout.status, logout.wasIn ? 200 : 409);
      if (!again.cookie) tally("the re-authentication came too late");
      else if (logout.wasIn) tally("the session was fresh, then ended");
      else tally("the logout came too late");

      const lives = !logout.wasIn;
      has(await visitor.seenBy(cookie), { user: null });
      has(await visitor.seenBy(again.cookie), { user: lives ? user : null });
      assert.equal((await store.list(`user:${user}`)).length, lives ? 1 : 0);
      await visitor.expectToReach(lives ? 1 : 0);
    },
  },

  {
    name: "U1: of two re-authentications at once one has the session, as fresh as its own proof",
    orders: ["both had found the session", "the second came too late"],
    async round({ visitor, user, tally, store }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const proofs = ["otp", "hwk"];
      const both = await Promise.all(
        proofs.map((by) => visitor.ask(`/again?by=${by}&how=${visitor.ending()}`, cookie)),
      );
      tally(
        both.every((it) => it.wasIn) ? "both had found the session" : "the second came too late",
      );
      const given = both.flatMap((it, n) => (it.cookie ? [[it.cookie, proofs[n]] as const] : []));
      assert.equal(given.length, 1, `${given.length} of two responses had a cookie`);
      const [[fresh, by] = []] = given;
      has(await visitor.seenBy(fresh), { user, methods: [by] });
      has(await visitor.seenBy(cookie), { user: null });
      assert.equal((await store.list(`user:${user}`)).length, 1);
      await visitor.expectToReach(1);
    },
  },
];
