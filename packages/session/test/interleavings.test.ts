import { setImmediate as turn } from "node:timers/promises";
import { createSessions, type IndexedStore, memoryStore, type Sessions } from "@lanai/session";
import Koa, { type Context } from "koa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isLong, type Random, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import { playRounds } from "../../../scripts/testing/rounds.ts";
import { Browser, type Served, serve } from "./http.ts";
import { keyOf } from "./site.ts";
import { type SteeredStore, steeredStore } from "./steered-store.ts";

const MINUTES = 60_000;

/**
 * Two servers on one store that takes its time: a random number of turns of the event loop before
 * each call is applied, and after it. The seed repeats the choices of a run; the order in which
 * packets arrive stays the machine's.
 */
const random = randomFrom(seed);

async function dawdle(): Promise<void> {
  for (let turns = random(6); turns > 0; turns--) await turn();
}

function dawdling(inner: IndexedStore): SteeredStore {
  const store = steeredStore(inner);
  store.around = async (_method, call) => {
    await dawdle();
    const answer = await call();
    await dawdle();
    return answer;
  };
  return store;
}

/** How a handler ends what it began: all must keep what was set. */
const ENDINGS = ["return", "late", "commit", "throw"] as const;

async function end(ctx: Context): Promise<void> {
  switch (ctx.query.how) {
    case "late":
      return dawdle();
    case "commit":
      // Refused with 401 if a sign-out was faster.
      await ctx.session.commit();
      return dawdle();
    case "throw":
      ctx.throw(403);
  }
}

/** What every answer tells: whether the request was let in, and what it did. */
const seen = (ctx: Context, more: object = {}) =>
  JSON.stringify({ user: ctx.session.userId ?? null, ...more });

/** Which requests had found their session: beside the answer, which a throw empties. */
const wasIn = new Map<string, boolean>();

const routes: Record<string, (ctx: Context) => unknown> = {
  "/set": async (ctx) => {
    const { key, value } = ctx.query;
    if (ctx.query.how === "late") await dawdle();
    ctx.session.set(String(key), String(value));
    await end(ctx);
    return seen(ctx);
  },
  "/cart": (ctx) => {
    ctx.session.set("cart", ctx.query.value);
  },
  "/login": async (ctx) => {
    await dawdle();
    ctx.session.login(String(ctx.query.user));
    if (ctx.query.from) ctx.session.set("from", ctx.query.from);
    await end(ctx);
    return seen(ctx);
  },
  "/renew": async (ctx) => {
    await dawdle();
    ctx.session.renewId();
    await end(ctx);
    return seen(ctx);
  },
  "/logout": async (ctx) => {
    await dawdle();
    await ctx.session.destroy();
    ctx.session.set("farewell", "bye");
    return seen(ctx);
  },
  "/count": async (ctx) => {
    await ctx.session.update("count", (count) => Number(count ?? 0) + 1);
    await end(ctx);
    return seen(ctx);
  },
  "/pop": async (ctx) => seen(ctx, { popped: (await ctx.session.pop("once")) ?? null }),
  "/read": (ctx) =>
    seen(ctx, {
      publicId: ctx.session.isNew ? null : ctx.session.publicId,
      ...ctx.session.toJSON(),
    }),
};

interface Node {
  readonly served: Served;
  readonly sessions: Sessions;
}

const memory = memoryStore();
const nodes: Node[] = [];

beforeAll(async () => {
  // Two managers on one store, as two processes would be.
  for (let n = 0; n < 2; n++) {
    const sessions = createSessions({
      store: dawdling(memory),
      // Nothing here is meant to be an outage, however busy the machine is.
      storeTimeout: 5 * MINUTES,
    });
    const app = new Koa();
    app.silent = true;
    app.use(sessions.middleware());
    app.use(async (ctx) => {
      wasIn.set(ctx.get("x-request"), ctx.session.userId !== undefined);
      ctx.body = (await routes[ctx.path]?.(ctx)) ?? "";
    });
    nodes.push({ served: await serve(app), sessions });
  }
});

afterAll(async () => {
  for (const { served } of nodes) await served[Symbol.asyncDispose]();
});

let requests = 0;

/** One browser, whose requests go to one server or the other, at random. */
class Visitor {
  readonly #random: Random;
  /** Every cookie that it was ever given. */
  readonly given: Set<string> = new Set();
  cookie: string | undefined = undefined;

  constructor(choose: Random) {
    this.#random = choose;
  }

  /** Sends the cookie of now, or the given one; keeps what comes back, in order of arrival. */
  async ask(path: string, cookie: string | undefined = this.cookie): Promise<Answer> {
    const node = nodes[this.#random(2)] as Node;
    return this.askAt(node, path, cookie);
  }

  async askAt(node: Node, path: string, cookie: string | undefined): Promise<Answer> {
    const browser = new Browser(node.served);
    const request = `${requests++}`;
    const response = await browser.request(path, {
      headers: { "x-request": request, ...(cookie && { cookie }) },
    });
    if (response.headers.getSetCookie().length > 0) this.cookie = browser.cookie || undefined;
    if (browser.cookie) this.given.add(browser.cookie);
    const text = await response.text();
    const body = text.startsWith("{") ? JSON.parse(text) : {};
    return {
      status: response.status,
      cookie: browser.cookie || undefined,
      wasIn: wasIn.get(request) === true,
      body,
    };
  }

  ending(): (typeof ENDINGS)[number] {
    return ENDINGS[this.#random(ENDINGS.length)] as (typeof ENDINGS)[number];
  }

  /** What both servers say of a cookie; they must agree. */
  async seenBy(cookie: string | undefined): Promise<Record<string, unknown>> {
    const [one, other] = await Promise.all(
      nodes.map((node) => this.askAt(node, "/read", cookie).then(({ body }) => body)),
    );
    expect(one).toEqual(other);
    return one as Record<string, unknown>;
  }

  /** The public ids of the sessions that can be reached by any cookie it ever had. */
  reachable(): string[] {
    const found: string[] = [];
    for (const cookie of this.given) {
      const loaded = memory.load(keyOf(cookie.slice("sid=".length)));
      if (loaded.status === "live") found.push(loaded.record.publicId);
    }
    return found;
  }
}

interface Answer {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly wasIn: boolean;
  readonly body: Record<string, unknown>;
}

/** No session has two live keys. */
function expectOneKeyEach(visitor: Visitor): void {
  const sessions = visitor.reachable();
  expect(sessions).toHaveLength(new Set(sessions).size);
}

/** Reports an order of events that came about, so that a test can tell that each of them happened. */
type Tally = (order: string) => void;

function interleaved(
  law: string,
  round: (visitor: Visitor, user: string, tally: Tally) => Promise<void>,
  orders: readonly string[] = [],
): void {
  test(law, () =>
    playRounds({
      orders,
      round(n, tally) {
        const user = `${law} ${n}`.replaceAll(/[^a-z0-9]+/gi, "-");
        return round(new Visitor(randomFrom(seed + n)), user, tally);
      },
    }),
  );
}

describe(`two servers (LANAI_SEED=${seed})`, () => {
  interleaved("S5: two writers of different keys both win", async (visitor, user) => {
    await visitor.ask(`/login?user=${user}`);
    const { cookie } = visitor;
    await Promise.all([
      visitor.ask(`/set?key=a&value=1&how=${visitor.ending()}`, cookie),
      visitor.ask(`/set?key=b&value=2&how=${visitor.ending()}`, cookie),
    ]);
    expect(await visitor.seenBy(cookie)).toMatchObject({ user, a: "1", b: "2" });
    expectOneKeyEach(visitor);
  });

  interleaved("S5: every update counts", async (visitor, user) => {
    await visitor.ask(`/login?user=${user}`);
    const { cookie } = visitor;
    await Promise.all(
      [0, 1, 0, 1].map((n) =>
        visitor.askAt(nodes[n] as Node, `/count?how=${visitor.ending()}`, cookie),
      ),
    );
    expect(await visitor.seenBy(cookie)).toMatchObject({ count: 4 });
  });

  test("S5: of fifty updates of one counter at once each counts, or is told that it doesn't", async () => {
    for (let round = 0; round < (isLong ? 20 : 4); round++) {
      const visitor = new Visitor(randomFrom(seed + round));
      await visitor.ask(`/login?user=${round}`);
      const { cookie } = visitor;
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) => visitor.askAt(nodes[n % 2] as Node, "/count", cookie)),
      );
      const counted = answers.filter(({ status }) => status === 200).length;
      const told = answers.filter(({ status }) => status === 503).length;
      expect(counted + told).toBe(50);
      // Whoever gives up has met sixteen others that counted. How many give up is a matter of luck.
      expect(counted).toBeGreaterThanOrEqual(16);
      const seen = await visitor.seenBy(cookie);
      expect(seen, `LANAI_SEED=${seed}`).toMatchObject({ count: counted });
    }
  });

  interleaved(
    "S6: a logout beats a writer",
    async (visitor, user, tally) => {
      await visitor.ask(`/login?user=${user}&from=secret`);
      const { cookie } = visitor;
      const [logout, write] = await Promise.all([
        visitor.ask("/logout", cookie),
        visitor.ask(`/set?key=late&value=1&how=${visitor.ending()}`, cookie),
      ]);
      tally(write.wasIn ? "the writer had loaded the session" : "the writer came too late");
      if (write.status === 401) tally("the explicit commit was told");
      // Who had the session may not bring it back, nor put a cookie beside the one that was cleared.
      if (write.wasIn) expect(write.cookie).toBe(undefined);

      for (const held of [cookie, visitor.cookie]) {
        const seen = await visitor.seenBy(held);
        expect(seen).toMatchObject({ user: null });
        expect(seen).not.toHaveProperty("from");
      }
      expect(memory.list(`user:${user}`)).toEqual([]);
      const farewell = await visitor.seenBy(logout.cookie);
      expect(farewell).toMatchObject({ user: null, farewell: "bye" });
      if (write.wasIn) expect(visitor.reachable()).toEqual([farewell.publicId]);
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
      expect(visitor.reachable()).toEqual([seen.publicId]);
      expect(memory.list(`user:${user}`)).toHaveLength(1);
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
      const seen = await visitor.seenBy(given);
      expect(seen).toMatchObject({ user });
      expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
      expect(visitor.reachable()).toEqual([seen.publicId]);
      expect(memory.list(`user:${user}`)).toHaveLength(1);
      for (const { body } of renewals) if (body.user === null) tally("the second came too late");
    },
    ["the second came too late"],
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
      // A logout that came with an id that was dead already had nothing to end, and says so.
      expect(logout.status).toBe(logout.wasIn ? 200 : 409);
      expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
      const living = memory.list(`user:${user}`);
      if (logout.wasIn) {
        expect(living).toEqual([]);
        const farewell = await visitor.seenBy(logout.cookie);
        expect(farewell).toMatchObject({ user: null, farewell: "bye" });
        expect(visitor.reachable()).toEqual([farewell.publicId]);
        if (renewal.cookie) tally("the session was renewed, then ended");
      } else {
        expect(living).toHaveLength(1);
        expect(logout.cookie).toBe(undefined);
        expect(visitor.cookie).toBe(renewal.cookie);
        expect(visitor.reachable()).toEqual(living.map(({ publicId }) => publicId));
        tally("the logout came too late");
      }
    },
    ["the session was renewed, then ended", "the logout came too late"],
  );

  interleaved(
    "S7: of two logins one carries the data, the other is fresh",
    async (visitor, user) => {
      await visitor.ask(`/cart?value=${user}`);
      const { cookie } = visitor;
      const logins = await Promise.all([
        visitor.ask(`/login?user=${user}&from=one&how=${visitor.ending()}`, cookie),
        visitor.ask(`/login?user=${user}&from=two&how=${visitor.ending()}`, cookie),
      ]);
      const [one, two] = await Promise.all(logins.map((login) => visitor.seenBy(login.cookie)));
      expect([one, two]).toMatchObject([
        { user, from: "one" },
        { user, from: "two" },
      ]);
      expect([one?.cart, two?.cart].filter((cart) => cart !== undefined)).toEqual([user]);
      expect(one?.publicId).not.toBe(two?.publicId);
      expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
      // Whichever came last is the browser's.
      expect(await visitor.seenBy(visitor.cookie)).toMatchObject({ user });
      expect(visitor.reachable().sort()).toEqual([one?.publicId, two?.publicId].sort());
      expect(memory.list(`user:${user}`)).toHaveLength(2);
    },
  );

  interleaved("S5: of four readers exactly one pops", async (visitor, user) => {
    await visitor.ask(`/login?user=${user}`);
    const { cookie } = visitor;
    await visitor.ask("/set?key=once&value=it");
    const readers = await Promise.all(
      [0, 1, 0, 1].map((n) => visitor.askAt(nodes[n] as Node, "/pop", cookie)),
    );
    const popped = readers.map(({ body }) => body.popped).filter((it) => it !== null);
    expect(popped).toEqual(["it"]);
    expect(await visitor.seenBy(cookie)).not.toHaveProperty("once");
  });

  interleaved(
    "S16: a login beside a sign-out everywhere is before it and ends, or after it and lives",
    async (visitor, user, tally) => {
      await visitor.ask(`/login?user=${user}`);
      const { cookie } = visitor;
      const other = new Visitor(randomFrom(seed));
      const comesWithCart = user.length % 2 === 0;
      if (comesWithCart) await other.ask("/cart?value=1");
      const { sessions } = nodes[1] as Node;
      const [ended, login] = await Promise.all([
        dawdle().then(() => sessions.destroyAll({ user })),
        other.ask(`/login?user=${user}&how=${visitor.ending()}`),
      ]);
      const living = memory.list(`user:${user}`);
      expect(ended + living.length).toBe(2);
      tally(living.length === 1 ? "the login lives" : "the login ended");
      expect(await visitor.seenBy(cookie)).toMatchObject({ user: null });
      expect(other.reachable()).toEqual(living.map(({ publicId }) => publicId));
      expect(await other.seenBy(login.cookie)).toMatchObject({
        user: living.length === 1 ? user : null,
      });
    },
    ["the login lives", "the login ended"],
  );
});
