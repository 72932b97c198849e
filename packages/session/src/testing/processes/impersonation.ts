import assert from "node:assert/strict";
import { has, type Law } from "./law.ts";

/** Laws of sessions in which an administrator acts for a user. */
export const impersonation: readonly Law[] = [
  {
    name: "U3: an impersonated session ends with the impersonator's, also for who had found it",
    orders: ["the writer had found the session", "the writer came too late"],
    async round({ visitor, user, store, tally, n }) {
      const root = `root-${user}`;
      await visitor.ask(`/login?user=${root}`);
      const own = visitor.cookie;
      await visitor.ask(`/act?user=${user}`);
      const acting = visitor.cookie;
      has(await visitor.seenBy(acting), { user, by: root });
      const end = () =>
        n % 2 ? visitor.askAt(0, `/end-all?user=${root}`, "") : visitor.ask("/logout", own);
      const [write] = await Promise.all([
        visitor.ask(`/set?key=late&value=1&how=${visitor.ending()}`, acting),
        end(),
      ]);
      tally(write.wasIn ? "the writer had found the session" : "the writer came too late");
      has(await visitor.seenBy(acting), { user: null, by: null });
      for (const whose of [user, root]) assert.deepEqual(await store.list(`user:${whose}`), []);
      if (write.wasIn) await visitor.expectToReach(0);
    },
  },

  {
    name: "U3: an impersonation that begins beside the end of the impersonator's session doesn't outlive it",
    orders: ["it had begun", "it never began"],
    async round({ visitor, user, store, tally }) {
      const root = `root-${user}`;
      await visitor.ask(`/login?user=${root}`);
      const own = visitor.cookie;
      const [begun] = await Promise.all([
        visitor.ask(`/act?user=${user}&how=${visitor.ending()}`, own),
        visitor.ask("/logout", own),
      ]);
      tally(begun.cookie ? "it had begun" : "it never began");
      has(await visitor.seenBy(begun.cookie), { user: null, by: null });
      assert.deepEqual(await store.list(`user:${user}`), []);
      await visitor.expectToReach(0);
    },
  },

  {
    name: "U4: of two who stop acting at once exactly one has the impersonator's session",
    orders: ["both had found the session", "the second came too late"],
    async round({ visitor, user, store, tally }) {
      const root = `root-${user}`;
      await visitor.ask(`/login?user=${root}&from=mine`);
      await visitor.ask(`/act?user=${user}`);
      const acting = visitor.cookie;
      const stops = await Promise.all([visitor.ask("/stop", acting), visitor.ask("/stop", acting)]);
      const given = stops.flatMap((it) => it.cookie ?? []);
      assert.equal(given.length, 1, `${given.length} of two responses had a cookie`);
      assert.deepEqual(stops.map((it) => it.body.stopped).sort(), [false, true]);
      has(await visitor.seenBy(given[0]), { user: root, by: null, from: "mine" });
      has(await visitor.seenBy(acting), { user: null, by: null });
      assert.deepEqual(await store.list(`user:${user}`), []);
      assert.equal((await store.list(`user:${root}`)).length, 1);
      await visitor.expectToReach(1);
      tally(
        stops.every((it) => it.wasIn) ? "both had found the session" : "the second came too late",
      );
    },
  },

  {
    name: "U4: who stops acting beside a sign-out of the impersonator is signed out, whichever comes first",
    orders: ["the session was given back, then ended", "there was nothing to give back"],
    async round({ visitor, user, store, tally, n }) {
      const root = `root-${user}`;
      await visitor.ask(`/login?user=${root}`);
      await visitor.ask(`/act?user=${user}`);
      const acting = visitor.cookie;
      const [stop] = await Promise.all([
        visitor.askAt(n % 2, "/stop", acting),
        visitor.askAt(1, `/end-all?user=${root}`, ""),
      ]);
      tally(
        stop.cookie ? "the session was given back, then ended" : "there was nothing to give back",
      );
      for (const whose of [user, root]) assert.deepEqual(await store.list(`user:${whose}`), []);
      await visitor.expectToReach(0);
    },
  },
];
