import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import type { IndexedStore } from "../../indexed-store.ts";
import type { Awaitable } from "../../store.ts";
import { randomFrom } from "../random.ts";
import { playRounds } from "../rounds.ts";
import { devices } from "./devices.ts";
import { everyone } from "./everyone.ts";
import { impersonation } from "./impersonation.ts";
import { has, type Law, lacks } from "./law.ts";
import { Processes } from "./processes.ts";
import { reauthentication } from "./reauthentication.ts";
import type { StoreAt } from "./store-at.ts";
import { Visitor } from "./visitor.ts";

/** Options of `storeProcesses`. */
export interface StoreProcessesOptions {
  /** The store's name, for the tests' names. */
  readonly name: string;
  /**
   * The runner's function: `test` of Vitest or `node:test`, `it` of Mocha. A test of 40 rounds takes a store
   * on a server about a second.
   */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** The runner's function for what follows the last test: `afterAll` of Vitest, `after` of the others. */
  readonly after: (fn: () => Promise<void>) => unknown;
  /**
   * The place of the store for the processes; or a function that makes the backend ready and
   * returns it.
   */
  readonly store: StoreAt | (() => Awaitable<StoreAt>);
  /**
   * Rounds of each law at least; more, up to 1,000, until each order of events came about. Default: 40.
   * Laws on ending everyone have an eighth of them, one after another.
   */
  readonly rounds?: number;
  /** The seed of the random choices, which repeats a run as far as these go. Default: a random one. */
  readonly seed?: number;
}

/** Laws whose rounds are played one after another have this many times fewer, because these take longer. */
const FEWER_ALONE = 8;

/** The greatest number of sessions of a user. */
const LIMIT = 3;

/**
 * Sees to it that a user has no more sessions than the limit. A store in several parts, such as a
 * cluster, may list a session that ends meanwhile beside the one that takes its place; but what two
 * lists in turn both name was live at the moment between them.
 */
async function expectLimit(store: IndexedStore, user: string): Promise<void> {
  const before = await store.list(`user:${user}`);
  if (before.length <= LIMIT) return;
  const after = new Set((await store.list(`user:${user}`)).map(({ publicId }) => publicId));
  const living = before.filter(({ publicId }) => after.has(publicId)).length;
  assert.ok(living <= LIMIT, `${living} sessions live, and the limit is ${LIMIT}`);
}

const laws: readonly Law[] = [
  {
    name: "S5: two writers of different keys both win",
    async round({ visitor, user }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      await Promise.all([
        visitor.ask(`/set?key=a&value=1&how=${visitor.ending()}`, cookie),
        visitor.ask(`/set?key=b&value=2&how=${visitor.ending()}`, cookie),
      ]);
      has(await visitor.seenBy(cookie), { user, a: "1", b: "2" });
      await visitor.expectToReach(1);
    },
  },

  {
    name: "S5: every update counts",
    async round({ visitor, user }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      await Promise.all(
        [0, 1, 0, 1].map((n) => visitor.askAt(n, `/count?how=${visitor.ending()}`, cookie)),
      );
      has(await visitor.seenBy(cookie), { count: 4 });
    },
  },

  {
    name: "S6: a logout beats a writer",
    async round({ visitor, user, tally, store }) {
      await visitor.ask(`/login?user=${user}&from=secret`);
      const { cookie } = visitor;
      const [, write] = await Promise.all([
        visitor.ask("/logout", cookie),
        visitor.ask(`/set?key=late&value=1&how=${visitor.ending()}`, cookie),
      ]);
      tally(write.wasIn ? "the writer had loaded the session" : "the writer came too late");
      if (write.status === 401) tally("the explicit commit was told");
      // Who had the session may not bring it back, nor put a cookie beside the one cleared.
      if (write.wasIn) assert.equal(write.cookie, undefined);

      for (const held of [cookie, visitor.cookie]) {
        const seen = await visitor.seenBy(held);
        has(seen, { user: null });
        lacks(seen, "from");
      }
      assert.deepEqual(await store.list(`user:${user}`), []);
      if (write.wasIn) await visitor.expectToReach(0);
    },
    orders: [
      "the writer had loaded the session",
      "the writer came too late",
      "the explicit commit was told",
    ],
  },

  {
    name: "S7: a write beside a renewal is in the successor",
    async round({ visitor, user, tally }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const [renewal, write] = await Promise.all([
        visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
        visitor.ask(`/set?key=beside&value=1&how=${visitor.ending()}`, cookie),
      ]);
      assert.notEqual(renewal.cookie, cookie);
      assert.equal(write.cookie, undefined);
      assert.equal(visitor.cookie, renewal.cookie);
      tally(write.wasIn ? "the writer had loaded the session" : "the writer came too late");

      has(await visitor.seenBy(cookie), { user: null });
      const seen = await visitor.seenBy(renewal.cookie);
      has(seen, { user });
      // A request that already came with a dead id is anonymous, and stores nothing anywhere.
      if (write.wasIn) has(seen, { beside: "1" });
      else lacks(seen, "beside");
      await visitor.expectToReach(1);
    },
    orders: ["the writer had loaded the session", "the writer came too late"],
  },

  {
    name: "S7: of two renewals at once one live id is left",
    async round({ visitor, user, tally }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const renewals = await Promise.all([
        visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
        visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
      ]);
      const [given, ...more] = renewals.flatMap((it) => it.cookie ?? []);
      assert.deepEqual(more, []);
      assert.equal(visitor.cookie, given);
      has(await visitor.seenBy(given), { user });
      has(await visitor.seenBy(cookie), { user: null });
      await visitor.expectToReach(1);
      tally(renewals.every((it) => it.wasIn) ? "both had loaded it" : "the second was too late");
    },
    orders: ["both had loaded it", "the second was too late"],
  },

  {
    name: "S7: a logout that had loaded the session ends the successor too",
    async round({ visitor, user, tally, store }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const [logout, renewal] = await Promise.all([
        visitor.ask("/logout", cookie),
        visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
      ]);
      // A logout that came with an id that was dead already had nothing to end, and says so.
      assert.equal(logout.status, logout.wasIn ? 200 : 409);
      has(await visitor.seenBy(cookie), { user: null });
      const living = await store.list(`user:${user}`);
      assert.equal(living.length, logout.wasIn ? 0 : 1);
      await visitor.expectToReach(living.length);
      if (!logout.wasIn) tally("the logout came too late");
      else if (renewal.cookie) tally("the session was renewed, then ended");
    },
    orders: ["the session was renewed, then ended", "the logout came too late"],
  },

  {
    name: "S7: of two logins one carries the data, the other is fresh",
    async round({ visitor, user, store }) {
      await visitor.ask(`/set?key=cart&value=${user}`);
      const { cookie } = visitor;
      const logins = await Promise.all([
        visitor.ask(`/login?user=${user}&from=one&how=${visitor.ending()}`, cookie),
        visitor.ask(`/login?user=${user}&from=two&how=${visitor.ending()}`, cookie),
      ]);
      const [one, two] = await Promise.all(logins.map((login) => visitor.seenBy(login.cookie)));
      has(one, { user, from: "one" });
      has(two, { user, from: "two" });
      assert.deepEqual(
        [one?.cart, two?.cart].filter((cart) => cart !== undefined),
        [user],
      );
      assert.notEqual(one?.publicId, two?.publicId);
      has(await visitor.seenBy(cookie), { user: null });
      // Whichever came last is the browser's.
      has(await visitor.seenBy(visitor.cookie), { user });
      await visitor.expectToReach(2);
      assert.equal((await store.list(`user:${user}`)).length, 2);
    },
  },

  {
    name: "S5: of four readers exactly one pops",
    async round({ visitor, user }) {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      await visitor.ask("/set?key=once&value=it");
      const readers = await Promise.all([0, 1, 0, 1].map((n) => visitor.askAt(n, "/pop", cookie)));
      const popped = readers.map(({ body }) => body.popped).filter((it) => it !== null);
      assert.deepEqual(popped, ["it"]);
      lacks(await visitor.seenBy(cookie), "once");
    },
  },

  {
    name: "S21: when a sign-in has returned, no more than the limit live",
    async round({ user, store, n, visit }) {
      if (!store.limitsOwners) return;
      await Promise.all(
        Array.from({ length: 7 }, async (_, each) => {
          const visitor = visit(n * 31 + each);
          if (each % 2 === 0) await visitor.ask("/set?key=cart&value=1");
          const { status } = await visitor.ask(`/login?user=${user}`);
          assert.equal(status, 200);
          await expectLimit(store, user);
        }),
      );
      assert.equal((await store.list(`user:${user}`)).length, LIMIT);
    },
  },
  {
    name: "S21: of sign-ins at once as many are refused as are too many",
    async round({ user, store, n, visit }) {
      if (!store.limitsOwners) return;
      const statuses = await Promise.all(
        Array.from({ length: 7 }, async (_, each) => {
          const { status } = await visit(n * 31 + each).ask(`/strict?user=${user}`);
          await expectLimit(store, user);
          return status;
        }),
      );
      assert.deepEqual(statuses.sort(), [200, 200, 200, 409, 409, 409, 409]);
      assert.equal((await store.list(`user:${user}`)).length, LIMIT);
    },
  },
  {
    name: "S16: a login beside a sign-out everywhere is before it and ends, or after it and lives",
    async round({ visitor, user, tally, n, visit, store }) {
      await visitor.ask(`/login?user=${user}`);
      const other = visit(~n);
      if (n % 2 === 0) await other.ask("/set?key=cart&value=1");
      const [{ body }, login] = await Promise.all([
        visitor.askAt(1, `/end-all?user=${user}`),
        other.ask(`/login?user=${user}&how=${visitor.ending()}`),
      ]);
      const living = await store.list(`user:${user}`);
      assert.equal(Number(body.ended) + living.length, 2);
      tally(living.length === 1 ? "the login lives" : "the login ended");
      has(await visitor.seenBy(visitor.cookie), { user: null });
      await other.expectToReach(living.length);
      has(await other.seenBy(login.cookie), {
        user: living.length === 1 ? user : null,
      });
    },
    orders: ["the login lives", "the login ended"],
  },
];

/**
 * The laws between two processes, each a Koa app on the same store, as tests: 40 rounds of each. The
 * processes begin with the first test, and end in `after`.
 */
export function storeProcesses(options: StoreProcessesOptions): void {
  const { name, test, after, rounds: least = 40, seed = randomInt(2 ** 31) } = options;
  const processes = new Processes(options.store, [
    { seed, limit: LIMIT },
    { seed: ~seed, limit: LIMIT },
  ]);
  after(() => processes.stop());
  // Those on everyone go first, while the store holds little that they have to go through.
  const all = [...everyone, ...laws, ...reauthentication, ...impersonation, ...devices];
  for (const { name: law, orders = [], isAlone = false, round } of all) {
    test(`${law} (two processes, ${name})`, async () => {
      const { apps, store } = await processes.started();
      const visit = (n: number) => new Visitor(apps, store, randomFrom(seed + n));
      await playRounds({
        ...(isAlone && { atOnce: 1 }),
        ...{
          orders,
          least: isAlone ? Math.ceil(least / FEWER_ALONE) : least,
          most: Math.max(1_000, least),
          repeatedBy: `the seed ${seed}`,
        },
        round(n, tally) {
          const user = `${law} ${n} ${seed}`.replaceAll(/[^a-z0-9]+/gi, "-");
          return round({ visitor: visit(n), user, store, n, visit, tally });
        },
      });
    });
  }
}
