import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgres } from "../services/postgres.ts";
import { startRedis } from "../services/redis.ts";
import { APPLIES_TWICE, NEVER_LATE, UNANSWERED_IS_UNDONE } from "../simulation/real/mistakes.ts";
import { type Mistake, playModel } from "../simulation/real/model.ts";
import { type Driver, playReal } from "../simulation/real/play.ts";
import { postgresDriver } from "../simulation/real/postgres.ts";
import { redisDriver } from "../simulation/real/redis.ts";
import { linesOf, scheduleOf } from "../simulation/real/schedule.ts";
import { fileScheduleOf, linesOfFile, playFile, playFileModel } from "../simulation/real/sqlite.ts";
import { isLong, seed } from "../testing/chance.ts";

const SCHEDULES = isLong ? 400 : 20;
/** The number of schedules among which each mistake must show. */
const TRIED = 1_000;

interface Case {
  readonly name: string;
  readonly start: (stack: AsyncDisposableStack) => Promise<Driver>;
  readonly mistakes: readonly Mistake[];
}

const CASES: readonly Case[] = [
  {
    name: "ioredis and Redis",
    start: async (stack) => redisDriver(stack.use(await startRedis()).port),
    mistakes: [APPLIES_TWICE, NEVER_LATE],
  },
  {
    name: "a pool of pg and PostgreSQL",
    async start(stack) {
      const server = stack.use(await startPostgres({ settings: { fsync: "off" } }));
      return postgresDriver(server.connection);
    },
    mistakes: [NEVER_LATE, UNANSWERED_IS_UNDONE],
  },
];

describe.each(CASES)("the model of $name", ({ start, mistakes }) => {
  const stack = new AsyncDisposableStack();
  let driver: Driver;
  beforeAll(async () => {
    driver = stack.use(await start(stack));
  });
  afterAll(() => stack.disposeAsync());

  test("shows what the real ones show, whatever comes first and whatever is cut", async () => {
    for (let n = 0; n < SCHEDULES; n++) {
      const schedule = scheduleOf((seed + n) % 2 ** 31, driver);
      const shown = await playReal(schedule, driver);
      const lines = linesOf(schedule, [`LANAI_SEED=${seed}, schedule ${n}`]).join("\n");
      expect(shown, lines).toEqual(await playModel(schedule, driver.onCut));
    }
  });

  test.each(mistakes)("is told apart from one that $name", async (mistake) => {
    // Beyond all other seeds: two schedules of one seed would meet each other's sessions.
    const from = 2 ** 31 + TRIED * mistakes.indexOf(mistake);
    for (let n = 0; n < TRIED; n++) {
      const schedule = scheduleOf(from + n, driver);
      const wrong = await playModel(schedule, driver.onCut, mistake);
      const right = await playModel(schedule, driver.onCut);
      if (JSON.stringify(wrong) === JSON.stringify(right)) continue;
      const shown = await playReal(schedule, driver);
      expect(shown).toEqual(right);
      expect(shown).not.toEqual(wrong);
      return;
    }
    throw new Error(`no schedule of ${TRIED} shows it`);
  });
});

describe("the model of SQLite, whose file is locked or full at times", () => {
  test("shows what the real one shows", async () => {
    for (let n = 0; n < SCHEDULES; n++) {
      const schedule = fileScheduleOf((seed + n) % 2 ** 31);
      const shown = await playFile(schedule);
      const lines = [...linesOfFile(schedule), `LANAI_SEED=${seed}, schedule ${n}`].join("\n");
      expect(shown, lines).toEqual(await playFileModel(schedule));
    }
  });

  test("is told apart from one that applies what it refuses", async () => {
    for (let n = 1; n < TRIED; n++) {
      const schedule = fileScheduleOf(n);
      const wrong = await playFileModel(schedule, true);
      const right = await playFileModel(schedule);
      if (JSON.stringify(wrong) === JSON.stringify(right)) continue;
      const shown = await playFile(schedule);
      expect(shown).toEqual(right);
      expect(shown).not.toEqual(wrong);
      return;
    }
    throw new Error(`no schedule of ${TRIED} shows it`);
  });
});

/** What Redis may keep when it is killed of what it has acknowledged, as packages/session-redis/README.md says. */
const LEVELS = [
  { level: "no persistence", args: [], keeps: "nothing" },
  {
    level: "appendfsync everysec",
    args: ["--appendonly", "yes", "--appendfsync", "everysec"],
    keeps: "the first ones",
  },
  {
    level: "appendfsync always",
    args: ["--appendonly", "yes", "--appendfsync", "always"],
    keeps: "all",
  },
] as const;

test.each(LEVELS)("a Redis with $level that is killed keeps $keeps", async ({ args, keeps }) => {
  await using server = await startRedis({ args });
  const client = new Redis(server.port, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on("error", () => {});
  const store = redisStore(client);
  const acknowledged: string[] = [];
  for (let n = 0; n < 100; n++) {
    const key = `ab.${n}`;
    const given = { operation: key, publicId: key, values: new Map(), owners: new Set<string>() };
    await store.create(key, { ...given, idle: 3_600_000, absolute: 3_600_000 });
    acknowledged.push(key);
  }
  await server.kill();
  client.disconnect();
  await server.restart();
  const after = new Redis(server.port);
  const loads = await Promise.all(acknowledged.map((key) => redisStore(after).load(key)));
  const kept = acknowledged.filter((_, n) => loads[n]?.status === "live");
  after.disconnect();
  if (keeps === "all") expect(kept).toEqual(acknowledged);
  else if (keeps === "nothing") expect(kept).toEqual([]);
  else expect(kept).toEqual(acknowledged.slice(0, kept.length));
});
