import type { Awaitable, IndexedStore } from "@lanai/session";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Browser } from "../http.ts";
import { keyOf } from "../site.ts";
import { type Node, startNode, stopNode } from "./node.ts";
import { type Random, randomFrom } from "./random.ts";
import { openStoreAt, type StoreAt } from "./store-at.ts";

const ROUNDS = 1000;
/** Rounds that are under way at once, each with a session of its own. */
const AT_ONCE = 25;
const MINUTE = 60_000;

const ENDINGS = ["return", "late", "commit", "throw"];

/** What came about, counted over all rounds, so that a test can tell that each order happened. */
type Tally = (order: string) => void;

export interface TwoProcessesOptions {
  /** The store's name, for the tests' names. */
  readonly name: string;
  /** Makes the backend ready; asked once, before the first test. */
  readonly prepare: () => Awaitable<StoreAt>;
  /** Repeats the choices of a run. Default: `LANAI_SEED`, or a random one. */
  readonly seed?: number;
}

/**
 * The laws under two processes, each a Koa app on the same store: 1,000 rounds of each. The seed
 * repeats what is asked of whom; the order in which packets arrive stays the machine's.
 */
export function twoProcesses(options: TwoProcessesOptions): void {
  const { name, prepare } = options;
  const seed =
    options.seed ?? Number(process.env.LANAI_SEED ?? Math.trunc(Math.random() * 2 ** 31));

  describe(`two processes (${name}, LANAI_SEED=${seed})`, () => {
    const nodes: Node[] = [];
    let store: IndexedStore;

    beforeAll(async () => {
      const at = await prepare();
      store = await openStoreAt(at);
      nodes.push(...(await Promise.all([startNode({ at, seed }), startNode({ at, seed: ~seed })])));
    }, MINUTE);

    afterAll(async () => {
      for (const node of nodes) await stopNode(node);
      await store?.close?.();
    }, MINUTE);

    const visit = (n: number) => new Visitor(nodes, store, randomFrom(seed + n));

    const interleaved = (
      law: string,
      round: (visitor: Visitor, user: string, tally: Tally, n: number) => Promise<void>,
      orders: readonly string[] = [],
    ) => {
      test(law, { timeout: 5 * MINUTE }, async () => {
        const counts = new Map<string, number>();
        const tally: Tally = (order) => counts.set(order, (counts.get(order) ?? 0) + 1);
        let next = 0;
        const runSome = async () => {
          while (next < ROUNDS) {
            const n = next++;
            const user = `${law} ${n}`.replaceAll(/[^a-z0-9]+/gi, "-");
            try {
              await round(visit(n), user, tally, n);
            } catch (error) {
              throw new Error(`round ${n} with LANAI_SEED=${seed}`, { cause: error });
            }
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, runSome));
        expect([...counts.keys()], `orders seen with LANAI_SEED=${seed}`).toEqual(
          expect.arrayContaining([...orders]),
        );
      });
    };

    interleaved("S5: two writers of different keys both win", async (visitor, user) => {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      await Promise.all([
        visitor.ask(`/set?key=a&value=1&how=${visitor.ending()}`, cookie),
        visitor.ask(`/set?key=b&value=2&how=${visitor.ending()}`, cookie),
      ]);
      expect(await visitor.seenBy(cookie)).toMatchObject({ user, a: "1", b: "2" });
      await visitor.expectToReach(1);
    });

    interleaved("S5: every update counts", async (visitor, user) => {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      await Promise.all(
        [0, 1, 0, 1].map((n) => visitor.askAt(n, `/count?how=${visitor.ending()}`, cookie)),
      );
      expect(await visitor.seenBy(cookie)).toMatchObject({ count: 4 });
    });

    interleaved(
      "S6: a logout beats a writer",
      async (visitor, user, tally) => {
        await visitor.ask(`/login?user=${user}&from=secret`);
        const { cookie } = visitor;
        const [, write] = await Promise.all([
          visitor.ask("/logout", cookie),
          visitor.ask(`/set?key=late&value=1&how=${visitor.ending()}`, cookie),
        ]);
        tally(write.wasIn ? "the writer had loaded the session" : "the writer came too late");
        if (write.status === 401) tally("the explicit commit was told");
        // Who had the session may not bring it back, nor put a cookie beside the one cleared.
        if (write.wasIn) expect(write.cookie).toBe(undefined);

        for (const held of [cookie, visitor.cookie]) {
          const seen = await visitor.seenBy(held);
          expect(seen).toMatchObject({ user: null });
          expect(seen).not.toHaveProperty("from");
        }
        expect(await store.list(`user:${user}`)).toEqual([]);
        if (write.wasIn) await visitor.expectToReach(0);
      },
      [
        "the writer had loaded the session",
        "the writer came too late",
        "the explicit commit was told",
      ],
    );

    interleaved(
      "S7: a write beside a renewal is in the successor",
      async (visitor, user, tally) => {
        await visitor.ask(`/login?user=${user}`);
        const { cookie } = visitor;
        const [renewal, write] = await Promise.all([
          visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
          visitor.ask(`/set?key=beside&value=1&how=${visitor.ending()}`, cookie),
        ]);
        expect(renewal.cookie).not.toBe(cookie);
        expect(write.cookie).toBe(undefined);
        expect(visitor.cookie).toBe(renewal.cookie);
        tally(write.wasIn ? "the writer had loaded the session" : "the writer came too late");

        expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
        const seen = await visitor.seenBy(renewal.cookie);
        expect(seen).toMatchObject({ user });
        // A request that already came with a dead id is anonymous, and stores nothing anywhere.
        if (write.wasIn) expect(seen).toMatchObject({ beside: "1" });
        else expect(seen).not.toHaveProperty("beside");
        await visitor.expectToReach(1);
      },
      ["the writer had loaded the session", "the writer came too late"],
    );

    interleaved(
      "S7: of two renewals at once one live id is left",
      async (visitor, user, tally) => {
        await visitor.ask(`/login?user=${user}`);
        const { cookie } = visitor;
        const renewals = await Promise.all([
          visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
          visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
        ]);
        const [given, ...more] = renewals.flatMap((it) => it.cookie ?? []);
        expect(more).toEqual([]);
        expect(visitor.cookie).toBe(given);
        expect(await visitor.seenBy(given)).toMatchObject({ user });
        expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
        await visitor.expectToReach(1);
        tally(renewals.every((it) => it.wasIn) ? "both had loaded it" : "the second was too late");
      },
      ["both had loaded it", "the second was too late"],
    );

    interleaved(
      "S7: a logout that had loaded the session ends the successor too",
      async (visitor, user, tally) => {
        await visitor.ask(`/login?user=${user}`);
        const { cookie } = visitor;
        const [logout, renewal] = await Promise.all([
          visitor.ask("/logout", cookie),
          visitor.ask(`/renew?how=${visitor.ending()}`, cookie),
        ]);
        expect(logout.status).toBe(200);
        expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
        const living = await store.list(`user:${user}`);
        // A logout that came with an id that was dead already had nothing to end.
        expect(living).toHaveLength(logout.wasIn ? 0 : 1);
        await visitor.expectToReach(living.length);
        if (!logout.wasIn) tally("the logout came too late");
        else if (renewal.cookie) tally("the session was renewed, then ended");
      },
      ["the session was renewed, then ended", "the logout came too late"],
    );

    interleaved(
      "S7: of two logins one carries the data, the other is fresh",
      async (visitor, user) => {
        await visitor.ask(`/set?key=cart&value=${user}`);
        const { cookie } = visitor;
        const logins = await Promise.all([
          visitor.ask(`/login?user=${user}&from=one&how=${visitor.ending()}`, cookie),
          visitor.ask(`/login?user=${user}&from=two&how=${visitor.ending()}`, cookie),
        ]);
        const [one, two] = await Promise.all(logins.map((login) => visitor.seenBy(login.cookie)));
        expect(one).toMatchObject({ user, from: "one" });
        expect(two).toMatchObject({ user, from: "two" });
        expect([one?.cart, two?.cart].filter((cart) => cart !== undefined)).toEqual([user]);
        expect(one?.publicId).not.toBe(two?.publicId);
        expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
        // Whichever came last is the browser's.
        expect(await visitor.seenBy(visitor.cookie)).toMatchObject({ user });
        await visitor.expectToReach(2);
        expect(await store.list(`user:${user}`)).toHaveLength(2);
      },
    );

    interleaved("S5: of four readers exactly one pops", async (visitor, user) => {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      await visitor.ask("/set?key=once&value=it");
      const readers = await Promise.all([0, 1, 0, 1].map((n) => visitor.askAt(n, "/pop", cookie)));
      const popped = readers.map(({ body }) => body.popped).filter((it) => it !== null);
      expect(popped).toEqual(["it"]);
      expect(await visitor.seenBy(cookie)).not.toHaveProperty("once");
    });

    interleaved(
      "S16: a login beside a sign-out everywhere is before it and ends, or after it and lives",
      async (visitor, user, tally, n) => {
        await visitor.ask(`/login?user=${user}`);
        const other = visit(n + ROUNDS);
        if (n % 2 === 0) await other.ask("/set?key=cart&value=1");
        const [{ body }, login] = await Promise.all([
          visitor.askAt(1, `/end-all?user=${user}`),
          other.ask(`/login?user=${user}&how=${visitor.ending()}`),
        ]);
        const living = await store.list(`user:${user}`);
        expect(Number(body.ended) + living.length).toBe(2);
        tally(living.length === 1 ? "the login lives" : "the login ended");
        expect(await visitor.seenBy(visitor.cookie)).toMatchObject({ user: null });
        await other.expectToReach(living.length);
        expect(await other.seenBy(login.cookie)).toMatchObject({
          user: living.length === 1 ? user : null,
        });
      },
      ["the login lives", "the login ended"],
    );
  });
}

interface Answer {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly wasIn: boolean;
  readonly body: Record<string, unknown>;
}

/** One browser, whose requests go to one server or the other, at random. */
class Visitor {
  cookie: string | undefined;
  /** Every cookie that it was ever given. */
  readonly #given = new Set<string>();
  readonly #nodes: readonly Node[];
  readonly #store: IndexedStore;
  readonly #random: Random;

  constructor(nodes: readonly Node[], store: IndexedStore, random: Random) {
    this.#nodes = nodes;
    this.#store = store;
    this.#random = random;
  }

  /** Sends the cookie of now, or the given one; keeps what comes back, in order of arrival. */
  ask(path: string, cookie: string | undefined = this.cookie): Promise<Answer> {
    return this.askAt(this.#random(2), path, cookie);
  }

  async askAt(n: number, path: string, cookie: string | undefined = this.cookie): Promise<Answer> {
    const browser = new Browser((this.#nodes[n] as Node).url);
    const response = await browser.request(path, cookie ? { headers: { cookie } } : {});
    if (response.headers.getSetCookie().length > 0) this.cookie = browser.cookie || undefined;
    if (browser.cookie) this.#given.add(browser.cookie);
    const text = await response.text();
    return {
      status: response.status,
      cookie: browser.cookie || undefined,
      // 401 is what an explicit commit gets whose session has ended meanwhile.
      wasIn: response.headers.get("x-was-in") === "true" || response.status === 401,
      body: text.startsWith("{") ? JSON.parse(text) : {},
    };
  }

  ending(): string {
    return ENDINGS[this.#random(ENDINGS.length)] as string;
  }

  /** What both servers say of a cookie; they must agree. */
  async seenBy(cookie: string | undefined): Promise<Record<string, unknown>> {
    const ask = (n: number) => this.askAt(n, "/read", cookie ?? "");
    const [one, other] = await Promise.all([ask(0), ask(1)]);
    expect(one.status).toBe(200);
    expect(one.body).toEqual(other.body);
    return one.body;
  }

  /** So many sessions live under the cookies it ever had, each under one of them. */
  async expectToReach(count: number): Promise<void> {
    const found: string[] = [];
    for (const cookie of this.#given) {
      const loaded = await this.#store.load(keyOf(cookie.slice("sid=".length)));
      if (loaded.status === "live") found.push(loaded.record.publicId);
    }
    expect(found).toHaveLength(count);
    expect(new Set(found).size).toBe(count);
  }
}
