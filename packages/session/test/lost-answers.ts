import { createSessions } from "@lanai/session";
import type { Awaitable, IndexedStore, PagedStore } from "@lanai/session/store";
import Koa, { type Context } from "koa";
import { describe, expect, test } from "vitest";
import { oneOrAll } from "../../../scripts/testing/chance.ts";
import type { CuttingProxy, Fate } from "../../../scripts/testing/cutting-proxy.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser, type Served, serve } from "./http.ts";

/**
 * Twice a client's own timeout here, so that this comes first. So long that no busy machine exceeds
 * either where no answer was lost: each test counts what may follow from one that was.
 */
export const CLIENT_TIMEOUT = 1_000;
const STORE_TIMEOUT = 2 * CLIENT_TIMEOUT;
/** How many sessions a user may have. */
const LIMIT = 3;
/** How often the client tries: a busy machine may miss the timeouts once more than was meant. */
const MAX_TRIES = 30;

export interface LostAnswersOptions {
  readonly name: string;
  readonly startProxy: () => Promise<CuttingProxy>;
  /** A store on a client that goes through the proxy at this port, with the sessions of a space. */
  readonly open: (
    port: number,
    space: number,
  ) => Awaitable<{ store: LostAnswersStore; close(): Awaitable<void> }>;
  /** A store that doesn't: what it says is what there is. Called before `open` for each space. */
  readonly direct: (space: number) => Awaitable<LostAnswersStore>;
}

type LostAnswersStore = IndexedStore & PagedStore;

/** What is asked for without faults, each time by a new browser, of which the last one stays. */
const BEFORES = {
  nothing: [],
  set: ["/set"],
  login: ["/login"],
  twice: ["/login", "/login"],
  /** As many sessions as are allowed, none of which is the browser's. */
  full: ["/login", "/login", "/login"],
  /** The session of who acts for somebody else, and the one in which that is done. */
  acting: ["/act"],
} satisfies Record<string, readonly string[]>;

/** What is done, and what must be true when the client has tried again until it was answered. */
interface Call {
  /** Without faults, before. */
  readonly before?: keyof typeof BEFORES;
  readonly path: string;
  /** Whether it concerns all sessions of the store: then nobody else has any. */
  readonly everyone?: true;
  /** How many sessions of the user are left. `held`: the browser's, if it has one, and no other. */
  readonly left: number | "held";
  /** How many ends must have been reported, each once. */
  readonly told: number;
  /** Whether a session may have ended besides: what was signed in to, but whose new id was lost. */
  readonly mayEnd?: true;
  readonly check?: (browser: Browser, answers: readonly Answer[]) => Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

const countOf = (answers: readonly Answer[]) =>
  answers.filter(({ status }) => status === 200).reduce((sum, { text }) => sum + Number(text), 0);

const CALLS: Record<string, Call> = {
  "a load": { before: "login", path: "/read", left: 1, told: 0 },
  "a write": {
    before: "login",
    path: "/set",
    left: 1,
    told: 0,
    check: async (browser) => expect(await browser.text("/read")).toContain('"a":1'),
  },
  "an update": {
    before: "login",
    path: "/update",
    left: 1,
    told: 0,
    async check(browser, answers) {
      const { count } = JSON.parse(await browser.text("/read"));
      // One whose answer was lost may count, or not.
      expect(count).toBeGreaterThanOrEqual(1);
      expect(count).toBeLessThanOrEqual(answers.length);
    },
  },
  "a pop": {
    before: "login",
    path: "/pop",
    left: 1,
    told: 0,
    async check(browser, answers) {
      const taken = answers.filter(({ text }) => text.includes('"taken":"1"'));
      expect(taken.length).toBeLessThanOrEqual(1);
      // One whose answer was lost may have taken it.
      if (answers.length === 1) expect(taken).toHaveLength(1);
      expect(await browser.text("/read")).not.toContain("message");
    },
  },
  "a renewal": { before: "login", path: "/renew", left: "held", told: 0, mayEnd: true },
  "a sign-in": { path: "/login", left: 1, told: 0 },
  "a sign-in in a session": { before: "set", path: "/login", left: 1, told: 0, mayEnd: true },
  "a sign-out": { before: "login", path: "/logout", left: 0, told: 1 },
  "a sign-out everywhere": {
    before: "twice",
    path: "/end-all",
    left: 0,
    told: 2,
    check: async (_, answers) => expect(countOf(answers)).toBe(2),
  },
  "a sign-out by the public id": {
    before: "twice",
    path: "/end-one",
    left: 1,
    told: 1,
    check: async (_, answers) => expect(countOf(answers)).toBe(1),
  },
  "a list": { before: "login", path: "/list", left: 1, told: 0 },
  "an end of acting for somebody": {
    before: "acting",
    path: "/stop",
    left: "held",
    told: 1,
    mayEnd: true,
  },
  "a count of all": {
    before: "twice",
    path: "/count",
    everyone: true,
    left: 2,
    told: 0,
    check: async (browser, answers) =>
      expect(answers.at(-1)?.text).toBe(await browser.text("/count")),
  },
  "a list of all": {
    before: "twice",
    path: "/list-all",
    everyone: true,
    left: 2,
    told: 0,
    check: async (browser, answers) =>
      expect(answers.at(-1)?.text).toBe(await browser.text("/list-all")),
  },
  "an end of all": {
    before: "twice",
    path: "/end-everyone",
    everyone: true,
    left: 0,
    told: 2,
    check: async (_, answers) => expect(countOf(answers)).toBe(2),
  },
  "a sign-in that ends another": { before: "full", path: "/login", left: LIMIT, told: 1 },
};

const FATES: readonly Fate[] = ["cut", "late"];

let users = 0;
let spaces = 0;

/**
 * Loses, or holds back, the answer to each command of each call of the contract in turn. The client
 * tries again while it is answered 503.
 */
export function lostAnswers({ name, startProxy, open, direct }: LostAnswersOptions): void {
  describe(`an answer that is lost (${name})`, () => {
    test.concurrent.for(
      Object.keys(CALLS).flatMap((what) => oneOrAll(FATES).map((fate) => [what, fate] as const)),
    )(
      "S17: of %s, %s: what was acknowledged is true, and each end is told once",
      async ([what, fate]) => {
        await using proxy = await startProxy();
        const call = CALLS[what] as Call;
        const space = call.everyone ? ++spaces : 0;
        for (let n = 1; ; n++) {
          const wasMet = await play(proxy, call, n, fate, space);
          if (!wasMet) return expect(n).toBeGreaterThan(1);
        }
      },
    );

    async function play(
      proxy: CuttingProxy,
      call: Call,
      n: number,
      fate: Fate,
      space: number,
    ): Promise<boolean> {
      const truth = await direct(space);
      const { store, close } = await open(proxy.port, space);
      const user = `lost-${process.pid}-${users++}`;
      const doomed = { publicId: "" };
      const [calm, broken] = await Promise.all([
        appOn(truth, user, doomed, 60_000),
        appOn(store, user, doomed, STORE_TIMEOUT),
      ]);
      try {
        const browser = new Browser(calm.served);
        const befores = BEFORES[call.before ?? "nothing"] as readonly string[];
        for (const [k, path] of befores.entries()) {
          const visitor = k === befores.length - 1 && call.before !== "full" ? browser : undefined;
          expect((await (visitor ?? new Browser(calm.served)).get(path)).status).toBe(200);
        }
        doomed.publicId = (await truth.list(`user:${user}`))[0]?.publicId ?? "";
        const unlucky = withCookiesOf(browser, broken.served);

        proxy.arm(n, fate);
        const answers: Answer[] = [];
        do {
          const response = await unlucky.get(call.path);
          answers.push({ status: response.status, text: await response.text() });
          if (response.status !== 200) {
            expect(response.status).toBe(503);
            expect(response.headers.getSetCookie()).toEqual([]);
          }
          // What comes late comes before the client tries again.
          proxy.release();
        } while (answers.at(-1)?.status !== 200 && answers.length < MAX_TRIES);
        expect(answers.at(-1)?.status).toBe(200);

        const saved = withCookiesOf(unlucky, calm.served);
        await call.check?.(saved, answers);
        const isSignedIn = !(await saved.text("/read")).includes('"user":null');
        const most = call.left === "held" ? Number(isSignedIn) : call.left;
        const { ended } = broken;
        await until(async () => {
          const left = (await truth.list(`user:${user}`)).length;
          // Each sign-in that failed may have ended one for a session that nobody got.
          const failed = answers.length - 1;
          const missing = call.before === "full" ? failed : 0;
          expect(left).toBeLessThanOrEqual(most);
          expect(left).toBeGreaterThanOrEqual(Math.max(most - missing, Math.min(most, 1)));
          const more = call.before === "full" ? 2 * failed : call.mayEnd && failed > 0 ? 1 : 0;
          expect(ended.length).toBeGreaterThanOrEqual(call.told);
          expect(ended.length).toBeLessThanOrEqual(call.told + more);
          expect(new Set(ended).size).toBe(ended.length);
        });
        return proxy.isDone;
      } finally {
        proxy.disarm();
        proxy.release();
        await Promise.all([calm, broken].map(({ served }) => served[Symbol.asyncDispose]()));
        await close();
      }
    }
  });
}

function withCookiesOf({ cookies }: Browser, served: Served): Browser {
  const browser = new Browser(served);
  for (const [name, value] of cookies) browser.cookies.set(name, value);
  return browser;
}

/** An app whose routes make every call of the contract, and the ends that it was told of. */
async function appOn(
  store: LostAnswersStore,
  user: string,
  doomed: { readonly publicId: string },
  storeTimeout: number,
): Promise<{ served: Served; ended: readonly string[] }> {
  const sessions = createSessions({
    store,
    storeTimeout,
    maxSessionsPerUser: { limit: LIMIT, overflow: "end-oldest" },
  });
  const ended: string[] = [];
  sessions.onEnd(({ publicId, reason }) => {
    if (reason === "destroyed") ended.push(publicId);
  });
  const manage: Record<string, () => Promise<unknown>> = {
    "/end-all": () => sessions.destroyAll({ user }),
    "/list": async () => (await sessions.list({ user })).length,
    "/count": () => sessions.count(),
    "/list-all": async () => {
      let count = 0;
      for await (const _ of sessions.all()) count += 1;
      return count;
    },
    "/end-everyone": () => sessions.destroyAll({ everyone: true }),
    "/end-one": async () => Number(await sessions.destroyByPublicId({ user }, doomed.publicId)),
  };
  const routes: Record<string, (ctx: Context) => unknown> = {
    "/login": (ctx) => {
      ctx.session.login(user);
      ctx.session.set("message", "1");
    },
    "/pop": async (ctx) => ({ taken: await ctx.session.pop("message") }),
    "/renew": (ctx) => void ctx.session.renewId(),
    "/act": async (ctx) => {
      ctx.session.login(user);
      await ctx.session.commit();
      ctx.session.impersonate(`${user}-other`);
    },
    "/stop": async (ctx) => {
      await ctx.session.stopImpersonating();
    },
    "/logout": (ctx) => ctx.session.destroy(),
    "/set": (ctx) => void ctx.session.set("a", 1),
    "/update": (ctx) => ctx.session.update("count", (count) => Number(count ?? 0) + 1),
  };
  const app = new Koa();
  app.silent = true;
  app.use(async (ctx, next) => {
    const work = manage[ctx.path];
    if (work) ctx.body = String(await work());
    else await next();
  });
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    const more = (await routes[ctx.path]?.(ctx)) as object | undefined;
    const { session } = ctx;
    ctx.body = JSON.stringify({ ...session.toJSON(), ...more, user: session.userId ?? null });
  });
  return { served: await serve(app), ended };
}
