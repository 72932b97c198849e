import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { machine } from "../../../../scripts/evidence/machine.js";
import { record } from "../../../../scripts/evidence/record.js";
import { startChromium } from "../../../../scripts/services/chromium.ts";
import { deckOf, isLong, randomFrom, seed } from "../../../../scripts/testing/chance.ts";
import { type Broker, setStage } from "./stage.ts";
import { accidentsOn, checkRound, playRound } from "./storm.ts";

const ROUNDS = Number(process.env.STORM_ROUNDS ?? (isLong ? 100 : 3));

/** The storm on one backend: see the law B1. */
export function stormOn(name: string, start: () => Promise<Broker>): void {
  let chromium: Browser;
  beforeAll(async () => {
    chromium = await startChromium({ backForwardCache: true });
  });
  afterAll(() => chromium?.close());

  test(
    `B1, B2: three tabs in a storm show each message once and in order, or a gap, and handle no call twice (${name})`,
    async () => {
      await using stage = await setStage(await start());
      const random = randomFrom(seed);
      const accidents = accidentsOn(stage.broker.bus);
      const deal = deckOf(accidents, random);
      const happened = new Set<string>();
      let shown = 0;
      let gaps = 0;
      let restored = 0;
      const outcomes = new Map<string, number>();
      for (let n = 0; n < ROUNDS; n++) {
        const round = await playRound(stage, chromium, random, deal, `${n}`);
        const about = `round ${n} with LANAI_SEED=${seed}`;
        try {
          checkRound(round, stage);
        } catch (error) {
          throw new Error(`${about}: ${(error as Error).message}`, { cause: error });
        }
        for (const what of round.log) happened.add(what);
        for (const life of round.lives) {
          shown += life.shown.filter((it) => it !== "gap").length;
          gaps += life.shown.filter((it) => it === "gap").length;
        }
        restored += round.restored;
        for (const { outcome } of round.calls)
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      const calls = [...outcomes].map(([outcome, times]) => `${outcome} (${times})`).join(", ");
      const text = [
        `${ROUNDS} rounds: ${stage.published.length} messages published, ${shown} shown, ${gaps} gaps reported; ${restored} times a page came back from the cache`,
        `calls by what they came to: ${calls}`,
        "each round was checked: no message was shown twice or out of order, none was missing without a gap, and no call was handled twice",
      ];
      console.log(`${name}: ${text.join("\n")}`);
      if (ROUNDS >= 100) {
        const lines = text.map((line) => `- ${line}`).join("\n");
        record(`storm-${stage.broker.bus}`, { about: machine(), text: lines });
      }
      expect(outcomes.get("resolved")).toBeGreaterThan(0);
      if (ROUNDS >= 3) expect([...happened].sort()).toEqual([...accidents].sort());
    },
    ROUNDS > 3 ? 3_600_000 : undefined,
  );
}
