// Fills a store step by step and times it at each: `node grow-store.js <store> <sessions,…>`.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessions, memoryStore } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { redisClient } from "./redis-client.js";
import { median } from "./text.js";

const SAMPLES = 1_000;
const AT_ONCE = 50;

const open = {
  memory: () => ({ store: memoryStore({ maxSessions: 2_000_000 }), end() {} }),
  sqlite() {
    const folder = mkdtempSync(join(tmpdir(), "lanai-bench-"));
    return {
      store: sqliteStore(join(folder, "sessions.db")),
      end: () => rmSync(folder, { recursive: true, force: true }),
    };
  },
  redis() {
    const redis = redisClient();
    return { store: redisStore(redis), end: () => redis.disconnect() };
  },
};

const timeOf = async (call) => {
  const times = [];
  for (let n = 0; n < SAMPLES; n++) {
    const start = performance.now();
    await call();
    times.push((performance.now() - start) * 1000);
  }
  return median(times);
};

const grow = async (store, steps) => {
  const manager = createSessions({ store });
  const ids = [];
  const create = async (n) => {
    const { session } = await manager.create({ userId: `user-${n >> 2}`, values: { n } });
    if (ids.length < SAMPLES || Math.random() < SAMPLES / (n + 1)) ids[n % SAMPLES] = session.id;
  };
  const points = [];
  let made = 0;
  for (const sessions of steps) {
    for (; made < sessions; made += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => create(made + n)));
    }
    const any = () => ids[Math.floor(Math.random() * ids.length)];
    points.push({
      sessions,
      read: await timeOf(() => manager.open(any())),
      write: await timeOf(async () => {
        const session = await manager.open(any());
        session.set("n", Math.random());
        await session.commit();
      }),
      list: await timeOf(() =>
        manager.list({ user: `user-${Math.floor((Math.random() * made) / 4)}` }),
      ),
    });
  }
  await manager.close();
  return points;
};

const [name, steps] = process.argv.slice(2);
const opened = open[name]();
grow(opened.store, steps.split(",").map(Number))
  .then(
    (points) => process.send(points),
    (error) => {
      console.error(error);
      process.exitCode = 1;
    },
  )
  .finally(() => opened.end());
