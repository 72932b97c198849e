// Fills a store with signed-in sessions, four of each user:
// `node fill-store.js redis|sqlite <sessions>`.
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessions } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { redisClient } from "./redis-client.js";
import { median } from "./text.js";

const PER_USER = 4;
const SAMPLES = 2_000;
/** How many are created at once: a store behind a network would be waited for otherwise. */
const AT_ONCE = 50;

/** A store, the bytes it takes, and what is left to tidy up. */
const open = {
  redis() {
    const redis = redisClient();
    const memory = async () => Number((await redis.info("memory")).match(/used_memory:(\d+)/)[1]);
    return { store: redisStore(redis), size: memory, end: () => redis.disconnect() };
  },
  sqlite() {
    const folder = mkdtempSync(join(tmpdir(), "lanai-bench-"));
    const file = join(folder, "sessions.db");
    return {
      store: sqliteStore(file),
      size: () => (existsSync(file) ? statSync(file).size : 0),
      end: () => rmSync(folder, { recursive: true, force: true }),
    };
  },
};

const values = () => ({
  name: `user-${randomBytes(8).toString("hex")}`,
  theme: "dark",
  locale: "en-GB",
  visits: 1,
});

/** The bytes that are a session's own: its entries, its owners, its public name. */
const sizeOf = (record) => {
  const texts = [record.publicId, ...record.owners, ...[...record.values].flat()];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
};

const random = (below) => Math.floor(Math.random() * below);

/** Microseconds that a call takes: the median of many. */
const timeOf = async (call) => {
  const times = [];
  for (let i = 0; i < SAMPLES; i++) {
    const start = performance.now();
    await call();
    times.push((performance.now() - start) * 1000);
  }
  return median(times);
};

const fill = async ({ store, size }, sessions) => {
  const manager = createSessions({ store });
  const empty = await size();
  const lists = [];
  const ids = [];
  const create = async (i) => {
    const userId = `user-${Math.floor(i / PER_USER)}`;
    const { session } = await manager.create({ userId, values: values() });
    if (random(sessions) < SAMPLES) ids.push(session.id);
  };
  const start = performance.now();
  let listing = 0;
  for (let made = 0; made < sessions; ) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => create(made + n)));
    made += AT_ONCE;
    if (![sessions / 100, sessions / 10, sessions].includes(made)) continue;
    const before = performance.now();
    const list = await timeOf(() => manager.list({ user: `user-${random(made / PER_USER)}` }));
    lists.push({ sessions: made, list });
    listing += performance.now() - before;
  }
  const creating = performance.now() - start - listing;
  const [sample] = await store.list("user:user-0");
  const openOne = async () => manager.open(ids[random(ids.length)]);
  const result = {
    sessions,
    lists,
    create: (creating * 1000) / sessions,
    open: await timeOf(openOne),
    write: await timeOf(async () => {
      const session = await openOne();
      session.set("visits", random(1_000_000));
      await session.commit();
    }),
    ownData: sizeOf(sample),
  };
  await manager.close();
  return { ...result, perSession: ((await size()) - empty) / sessions };
};

const [name, sessions] = process.argv.slice(2);
const opened = open[name]();
fill(opened, Number(sessions))
  .then(
    (result) => process.send(result),
    (error) => {
      console.error(error);
      process.exitCode = 1;
    },
  )
  .finally(() => opened.end());
