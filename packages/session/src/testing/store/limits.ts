import assert from "node:assert/strict";
import { isIndexed } from "../../indexed-store.ts";
import {
  type Case,
  change,
  failsWith,
  HOUR,
  type Limit,
  newRecord,
  pop,
  race,
  saved,
  times,
} from "./case.ts";

type Proof = Pick<Case, "name" | "run">;

/** The proof of each limit. It fails when the store has become better. */
export const limits: Readonly<Record<Limit, Proof>> = {
  index: {
    name: "limit: sessions can't be found by owner",
    async run(at) {
      assert.equal(isIndexed(at.store), false);
    },
  },
  revoke: {
    name: "limit: the key of a destroyed session still opens it",
    async run(at) {
      const key = await at.create();
      await at.store.destroy(key);
      assert.equal(await at.status(key), "live");
    },
  },
  final: {
    name: "limit: a writer beside a logout can bring the session back",
    async run(at) {
      const revived = await race(
        ...times(20, (n) => async () => {
          const key = await at.create();
          const write = () => at.store.commit(key, change({ touch: true }));
          const end = () => at.again.destroy(key);
          await (n % 2 ? race<unknown>(write, end) : race<unknown>(end, write));
          return (await at.status(key)) === "live";
        }),
      );
      assert.ok(revived.includes(true));
    },
  },
  merge: {
    name: "limit: of concurrent commits of different entries some are lost",
    async run(at) {
      const key = await at.create();
      const keys = await race(
        ...times(20, (n) => async () => {
          const set = new Map([[`entry ${n}`, "1"]]);
          return saved(await at.handle(n).commit(key, change({ set })));
        }),
      );
      for (const after of keys) assert.ok((await at.values(after)).length < 20);
    },
  },
  once: {
    name: "limit: of concurrent pops of one entry several get it",
    async run(at) {
      const key = await at.create({ values: new Map([["message", "hello"]]) });
      const results = await race(
        ...times(20, (n) => () => at.handle(n).commit(key, pop("message", "hello"))),
      );
      assert.ok(results.filter(({ status }) => status === "saved").length > 1);
    },
  },
  renewed: {
    name: "limit: a renewed session's old key is not known as such",
    async run(at) {
      const old = await at.create();
      await at.commit(old, { renewTo: at.newKey() });
      assert.notEqual(await at.status(old), "renewed");
    },
  },
  taken: {
    name: "limit: a key in use is not refused",
    async run(at) {
      const key = at.newKey();
      await at.store.create(key, newRecord());
      await at.again.create(key, newRecord());
    },
  },
  repeat: {
    name: "limit: an operation that is sent again is applied again",
    async run(at) {
      const key = await at.create({ values: new Map([["message", "hello"]]) });
      const take = { ...pop("message", "hello"), touch: true as const };
      const first = await at.store.commit(key, take);
      await at.advance(1000);
      assert.notDeepEqual(await at.store.commit(key, take), first);
    },
  },
  large: {
    name: "limit: a session of 100 KB is refused",
    async run(at) {
      const values = new Map([["large", "x".repeat(100_000)]]);
      await failsWith("ERR_SESSION_TOO_LARGE", () => at.create({ values }));
      const key = await at.create({ values: new Map([["a", "1"]]) });
      await failsWith("ERR_SESSION_TOO_LARGE", () => at.store.commit(key, change({ set: values })));
      assert.deepEqual(await at.values(key), [["a", "1"]]);
    },
  },
  forever: {
    name: "limit: an absolute time of Infinity ends nevertheless",
    async run(at) {
      const key = await at.create({ idle: 10_000 * 24 * HOUR, absolute: Infinity });
      await at.advance(8_000 * 24 * HOUR);
      assert.equal(await at.status(key), "none");
    },
  },
};
