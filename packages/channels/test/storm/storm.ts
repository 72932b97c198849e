import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core";
import { expect } from "vitest";
import { isLong, type Random } from "../../../../scripts/testing/chance.ts";
import { until } from "../../../../scripts/testing/until.ts";
import type { CallResult, Mode, Shown, StormPage } from "./page.ts";
import type { Stage } from "./stage.ts";

declare const storm: StormPage;

interface Tab {
  readonly page: Page;
  readonly cdp: CDPSession;
  readonly mode: Mode;
}

/** What the tabs of a round have shown and called. */
interface Record {
  readonly lives: {
    readonly mode: Mode;
    readonly shown: readonly Shown[];
    readonly isLast: boolean;
  }[];
  readonly calls: CallResult[];
  restored: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** The accidents of a round. */
const ACCIDENTS = [
  ...([
    "kill",
    "stop",
    "standStill",
    "broker",
    "cut",
    "stall",
    "offline",
    "freeze",
    "cache",
  ] as const),
  ...(["signIn", "signOut", "renew", "closeAndOpen"] as const),
];
type Accident = (typeof ACCIDENTS)[number];

/** The accidents that can happen with a bus: the one in memory has no broker. */
export const accidentsOn = (bus: Stage["broker"]["bus"]): readonly Accident[] =>
  ACCIDENTS.filter((it) => it !== "broker" || bus !== "memory");

/** The number of accidents in a round: three rounds have room for each. */
const A_ROUND = isLong ? 8 : Math.ceil(ACCIDENTS.length / 3);
const MODES: readonly Mode[] = ["plain", "share", "fallback"];

/** One round: three tabs, a sequence of accidents, calm, and what is to be compared. */
export async function playRound(
  stage: Stage,
  browser: Browser,
  random: Random,
  deal: () => Accident,
  name: string,
) {
  const context = await browser.newContext();
  const record: Record = { lives: [], calls: [], restored: 0 };
  const tabs: Tab[] = [];
  let count = 0;
  const log: Accident[] = [];

  const start = (page: Page, mode: Mode): Promise<void> =>
    page.evaluate(
      ([it, id]) => storm.start(it as Mode, id as string),
      [mode, `${name}-${count++}`],
    );
  const open = async (mode: Mode): Promise<void> => {
    const page = await context.newPage();
    await reach(page, `${stage.url}/page`);
    const cdp = await context.newCDPSession(page);
    await start(page, mode);
    tabs.push({ page, cdp, mode });
  };
  const read = async ({ page, mode }: Tab, isLast: boolean): Promise<void> => {
    const { lives, calls, restored } = await page.evaluate(() => ({
      lives: storm.lives,
      calls: storm.calls,
      restored: storm.restored,
    }));
    for (const [at, { shown }] of lives.entries()) {
      record.lives.push({ mode, shown, isLast: isLast && at === lives.length - 1 });
    }
    record.calls.push(...calls);
    record.restored += restored;
  };

  for (const mode of MODES) await open(mode);
  let isCalm = false;
  const publishing = (async () => {
    while (!isCalm) {
      await stage.publish();
      await sleep(random(15));
    }
  })();
  const calling = (async () => {
    while (!isCalm) {
      for (const { page } of [...tabs]) await quietly(page.evaluate(() => storm.call()));
      await sleep(40);
    }
  })();

  const some = <T>(all: readonly T[]): T => all[random(all.length)] as T;
  const accidents: { readonly [what in Accident]: () => Promise<void> } = {
    async kill() {
      const it = some(stage.processes);
      await it.stop("SIGKILL");
      await it.start();
    },
    async stop() {
      const it = some(stage.processes);
      await it.stop("SIGTERM");
      await it.start();
    },
    standStill: () => some(stage.processes).pause(300),
    async broker() {
      await stage.broker.kill();
      await sleep(random(200));
      await stage.broker.restart();
    },
    async cut() {
      stage.balancer.cut();
    },
    async stall() {
      stage.balancer.stall(true);
      await sleep(100 + random(300));
      stage.balancer.stall(false);
      if (random(2)) stage.balancer.cut();
    },
    async offline() {
      await context.setOffline(true);
      stage.balancer.cut();
      await sleep(random(200));
      await context.setOffline(false);
    },
    async freeze() {
      const { cdp } = some(tabs);
      await cdp.send("Page.setWebLifecycleState", { state: "frozen" });
      await sleep(100 + random(200));
      await cdp.send("Page.setWebLifecycleState", { state: "active" });
    },
    async cache() {
      const tab = some(tabs);
      const { page, mode } = tab;
      await read(tab, false);
      await quietly(page.goto(`${stage.url}/sign-in`, { timeout: 5_000 }));
      // A page out of the cache doesn't load. One that wasn't kept begins anew.
      await quietly(page.goBack({ waitUntil: "commit", timeout: 500 }));
      await reachBack(page, `${stage.url}/page`);
      const isNew = await page.evaluate(() => storm.lives.length === 0);
      if (isNew) await start(page, mode);
    },
    signIn: () => visit(context, `${stage.url}/sign-in`),
    signOut: () => visit(context, `${stage.url}/sign-out`),
    renew: () => visit(context, `${stage.url}/renew`),
    async closeAndOpen() {
      const [tab] = tabs.splice(random(tabs.length), 1);
      if (!tab) return;
      await read(tab, false);
      await tab.page.close();
      await open(tab.mode);
    },
  };
  for (let i = 0; i < A_ROUND; i++) {
    const what = deal();
    log.push(what);
    await accidents[what]();
    await sleep(random(150));
  }

  isCalm = true;
  await Promise.all([publishing, calling]);
  let final = 0;
  try {
    // A tab that comes back after what ends the round may have a gap in its place.
    for (const { page } of tabs) {
      // Longer from try to try: on a busy machine each message may take its time.
      let wait = 100;
      await until(async () => {
        await stage.publish();
        final = stage.published.at(-1) ?? 0;
        await sleep(wait);
        wait *= 1.5;
        expect(await page.evaluate(() => storm.lives.at(-1)?.shown.at(-1))).toBe(final);
      });
    }
    for (const { page } of tabs) {
      await until(async () => {
        expect(await page.evaluate(() => storm.lives.at(-1)?.shown.at(-1))).toBe(final);
        expect(await page.evaluate(() => storm.pending())).toBe(0);
      });
    }
  } catch (error) {
    const states = await Promise.all(
      tabs.map(({ page, mode }) =>
        page
          .evaluate(() =>
            JSON.stringify([storm.lives.map((it) => [it.state, it.shown.slice(-3)]), storm.codes]),
          )
          .then((it) => `${mode} ${it}`),
      ),
    );
    const about = `${log.join(", ")}; ${final}; ${states.join("; ")}`;
    throw new Error(`not all tabs came back: ${about}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  for (const tab of tabs) await read(tab, true);
  await context.close();
  return { ...record, log, final };
}

const quietly = (promise: Promise<unknown>): Promise<unknown> => promise.catch(() => undefined);

/** The server may be starting. */
async function reach(page: Page, url: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await page.goto(url, { timeout: 5_000 });
      if (response?.ok()) return;
    } catch (error) {
      if (attempt > 100) throw error;
    }
    await sleep(100);
  }
}

/** Waits for the page's script; where going back has failed, the page is opened again. */
async function reachBack(page: Page, url: string): Promise<void> {
  const isThere = (): Promise<boolean> =>
    page.evaluate(() => "storm" in globalThis).catch(() => false);
  for (let turns = 0; turns < 20; turns++) {
    if (page.url() === url && (await isThere())) return;
    await sleep(50);
  }
  await reach(page, url);
}

async function visit(context: BrowserContext, url: string): Promise<void> {
  await quietly(context.request.get(url, { timeout: 3_000 }));
}

/** How often a round can lose messages: with the process that has the bus; a broker keeps them. */
const lossesIn = (log: readonly Accident[], bus: Stage["broker"]["bus"]): number =>
  bus === "memory" ? log.filter((it) => it === "kill" || it === "stop").length : 0;

/** What was shown against what was published: each once and in order, or a gap in its place. */
export function checkRound(
  round: Awaited<ReturnType<typeof playRound>>,
  { published, broker, handled }: Pick<Stage, "published" | "broker" | "handled">,
): void {
  const about = round.log.join(", ");
  for (const { mode, shown, isLast } of round.lives) {
    // A gap says that something is lost, so one is reported only where something can be.
    const gaps = shown.filter((it) => it === "gap").length;
    expect(gaps, `${mode}: gaps; ${about}`).toBeLessThanOrEqual(lossesIn(round.log, broker.bus));
    let before: number | undefined;
    for (const it of shown) {
      if (it === "gap") {
        // What comes after it is still newer than what came before.
        before = before === undefined ? undefined : -Math.abs(before);
        continue;
      }
      const where = `${mode}: ${before} then ${it}; ${about}`;
      if (before !== undefined) expect(it, where).toBeGreaterThan(Math.abs(before));
      if (before !== undefined && before > 0) {
        const from = before;
        const missing = published.filter((n) => n > from && n < it);
        expect(missing, where).toEqual([]);
      }
      before = it;
    }
    if (isLast) expect(shown.at(-1), about).toBe(round.final);
  }
  const times = new Map<string, number>();
  for (const id of handled()) times.set(id, (times.get(id) ?? 0) + 1);
  for (const { id, outcome } of round.calls) {
    const count = times.get(id) ?? 0;
    if (outcome === "resolved") expect(count, `${id} resolved; ${about}`).toBe(1);
    else expect(count, `${id} ${outcome}; ${about}`).toBeLessThanOrEqual(1);
    // What was refused before it was handled was not handled.
    if (["ERR_TIMEOUT", "ERR_QUEUE_FULL", "ERR_NOT_JOINED"].includes(outcome)) {
      expect(count, `${id} ${outcome}; ${about}`).toBe(0);
    }
  }
}
