import { setImmediate as turn } from "node:timers/promises";
import { type FlashMessage, flash } from "@lanai/flash";
import { createSessions, type IndexedStore } from "@lanai/session";
import Koa, { type Context } from "koa";
import { expect, onTestFinished, test } from "vitest";
import { type Random, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import { playRounds } from "../../../scripts/testing/rounds.ts";
import { Browser, type Served, serve } from "../../session/test/http.ts";
import { steeredStore } from "../../session/test/steered-store.ts";

const MINUTES = 60_000;

const LEVELS = ["info", "error", ""];

/** A store that takes its time: some turns of the event loop before each call, and after it. */
function dawdling(inner: IndexedStore, random: Random): IndexedStore {
  const dawdle = async () => {
    for (let turns = random(6); turns > 0; turns--) await turn();
  };
  const store = steeredStore(inner);
  store.around = async (_method, call) => {
    await dawdle();
    const answer = await call();
    await dawdle();
    return answer;
  };
  return store;
}

/** What a message says of itself: the request that left it, and its place there. */
interface Told {
  readonly by: string;
  readonly n: number;
}

const shown = (messages: readonly FlashMessage[]) =>
  JSON.stringify(messages.map(({ level, data }) => ({ level, ...(data as Told) })));

/** The requests of a round; all but the last answer with what they showed. */
const routes: Record<string, (ctx: Context) => unknown> = {
  "/leave": (ctx) => {
    const { by = "", count, how } = ctx.query;
    for (let n = 0; n < Number(count); n++) {
      ctx.flash("text", LEVELS[(n + String(by).length) % LEVELS.length], { by, n });
    }
    if (how === "throw") ctx.throw(403);
  },
  "/pop": async (ctx) => shown(await ctx.flash.pop()),
  "/pop-level": async (ctx) => shown(await ctx.flash.pop(String(ctx.query.level))),
  "/keep": async (ctx) => {
    await ctx.flash.pop();
    ctx.flash.keep();
  },
  "/keep-some": async (ctx) => {
    const popped = await ctx.flash.pop();
    ctx.flash.keep("error");
    return shown(popped.filter(({ level }) => level !== "error"));
  },
  "/swap": async (ctx) => {
    const { by = "" } = ctx.query;
    ctx.flash("text", "info", { by, n: 0 });
    const popped = await ctx.flash.pop();
    ctx.flash("text", "info", { by, n: 1 });
    return shown(popped);
  },
  "/peek": (ctx) => {
    ctx.flash.peek();
  },
};

interface Shown extends Told {
  readonly level: string;
}

/**
 * Two servers, each with its own handle on what keeps the sessions. A round is one visitor, of whom
 * two to seven requests run at the same moment: those that leave, take, keep, or only look.
 *
 * @param open - Opens the two handles; what it opens ends with the test.
 */
export function interleaved(name: string, open: () => Promise<IndexedStore[]>): void {
  test(name, async () => {
    const random = randomFrom(seed);
    const servers: Served[] = [];
    for (const store of await open()) servers.push(await start(dawdling(store, random)));
    await playRounds({
      orders: ORDERS,
      async round(n, report) {
        for (const order of await round(servers, randomFrom(seed + n))) report(order);
      },
    });
  });
}

async function start(store: IndexedStore): Promise<Served> {
  // Nothing here is meant to be an outage, however busy the machine is.
  const sessions = createSessions({ store, storeTimeout: 5 * MINUTES });
  const app = new Koa();
  app.silent = true;
  app.use(sessions.middleware());
  app.use(flash());
  app.use(async (ctx) => {
    ctx.body = (await routes[ctx.path]?.(ctx)) ?? "[]";
  });
  const served = await serve(app);
  onTestFinished(() => served[Symbol.asyncDispose]());
  return served;
}

/** What must have come about in some round, or the test proves little. */
const ORDERS = [
  "a pop came too late",
  "a pop came too early for some",
  "several pops shared the messages",
] as const;

/** @returns Which of the orders came about. */
async function round(servers: readonly Served[], random: Random): Promise<readonly string[]> {
  const cookies = new Map<string, string>();
  const left: Told[] = [];
  const ask = async (path: string, method = "GET"): Promise<Shown[]> => {
    const browser = new Browser(servers[random(servers.length)] as Served);
    for (const [name, value] of cookies) browser.cookies.set(name, value);
    const response = await browser.request(path, { method });
    expect([200, 403]).toContain(response.status);
    for (const [name, value] of browser.cookies) cookies.set(name, value);
    const tells = response.status === 200 && method === "GET";
    return tells ? ((await response.json()) as Shown[]) : [];
  };
  const leave = (by: string) => {
    const count = 1 + random(3);
    for (let n = 0; n < count; n++) left.push({ by, n });
    const how = random(2) === 0 ? "throw" : "return";
    return ask(`/leave?by=${by}&count=${count}&how=${how}`);
  };
  const swap = (by: string) => {
    left.push({ by, n: 0 }, { by, n: 1 });
    return ask(`/swap?by=${by}`);
  };
  const popped: Shown[][] = [];
  const pop = async () => {
    const messages = await ask("/pop");
    popped.push(messages);
    return messages;
  };
  const actions: readonly ((by: string) => Promise<Shown[]>)[] = [
    leave,
    leave,
    swap,
    pop,
    pop,
    () => ask(`/pop-level?level=${LEVELS[random(LEVELS.length)]}`),
    () => ask("/keep"),
    () => ask("/keep-some"),
    () => ask("/peek"),
    () => ask("/pop", "HEAD"),
  ];
  await leave("first");
  const answers = await Promise.all(
    Array.from({ length: 2 + random(6) }, (_, n) =>
      (actions[random(actions.length)] as (typeof actions)[number])("x".repeat(n)),
    ),
  );
  const rest = await ask("/pop");
  expect(await ask("/pop")).toEqual([]);

  const all = [...answers, rest];
  const names = (told: readonly Told[]) => told.map(({ by, n }) => `${by} ${n}`);
  // Each message to exactly one, whole, and in the order of the request that left it.
  expect(names(all.flat()).sort()).toEqual(names(left).sort());
  for (const messages of all) {
    for (const { by } of messages) {
      const its = messages.filter((message) => message.by === by).map(({ n }) => n);
      expect(its).toEqual(its.toSorted((a, b) => a - b));
    }
  }

  const orders = {
    "a pop came too late": popped.some((it) => it.length === 0) && answers.flat().length > 0,
    "a pop came too early for some": answers.flat().length > 0 && rest.length > 0,
    "several pops shared the messages": answers.filter((it) => it.length > 0).length > 1,
  };
  return ORDERS.filter((order) => orders[order]);
}
