import assert from "node:assert/strict";
import { isPaged } from "../../paged-store.ts";
import { has, type Law } from "./law.ts";

/**
 * Laws of `destroyAll({ everyone: true })`, on stores that have pages. It ends what any other round has,
 * so these rounds are played one after another.
 */
export const everyone: readonly Law[] = [
  {
    name: "U6: a login beside the end of everyone is before it and ends, or after it and lives",
    isAlone: true,
    async round({ visitor, user, store, n, visit }) {
      if (!isPaged(store)) return;
      await visitor.ask(`/login?user=${user}`);
      const other = visit(~n);
      if (n % 2 === 0) await other.ask("/set?key=cart&value=1");
      const [, login] = await Promise.all([
        visitor.ask("/end-everyone", ""),
        other.ask(`/login?user=${user}&how=${visitor.ending()}`),
      ]);
      // Whoever was signed in before is signed out, whatever else goes on.
      has(await visitor.seenBy(visitor.cookie), { user: null });
      const { length } = await store.list(`user:${user}`);
      assert.ok(length <= 1, `${length} sessions of the user live`);
      has(await other.seenBy(login.cookie), { user: length === 1 ? user : null });
      await other.expectToReach(length);
    },
  },

  {
    name: "U6: a session that gets a new id beside the end of everyone ends too",
    isAlone: true,
    async round({ visitor, user, store, n }) {
      if (!isPaged(store)) return;
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const how = visitor.ending();
      const [renewal] = await Promise.all([
        visitor.ask(n % 2 ? `/renew?how=${how}` : `/again?by=otp&how=${how}`, cookie),
        visitor.ask("/end-everyone", ""),
      ]);
      for (const held of [cookie, renewal.cookie]) has(await visitor.seenBy(held), { user: null });
      assert.deepEqual(await store.list(`user:${user}`), []);
      await visitor.expectToReach(0);
    },
  },

  {
    name: "U6: of two ends of everyone at once each session is ended by one",
    isAlone: true,
    async round({ visitor, user, store, n, visit }) {
      if (!isPaged(store)) return;
      await visitor.ask("/end-everyone", "");
      const visitors = [visitor, visit(~n), visit(n + 1_000)];
      for (const each of visitors) await each.ask(`/login?user=${user}`);
      const ends = await Promise.all([0, 1].map((at) => visitor.askAt(at, "/end-everyone", "")));
      const ended = ends.map(({ body }) => Number(body.ended));
      assert.equal((ended[0] ?? 0) + (ended[1] ?? 0), visitors.length, `they ended ${ended}`);
      for (const each of visitors) has(await each.seenBy(each.cookie), { user: null });
      assert.deepEqual(await store.list(`user:${user}`), []);
    },
  },
];
