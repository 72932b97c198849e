// Fills a SQLite file with signed-in sessions, four of each user: `node fill-sqlite.js <sessions>`.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessions } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import { median } from "./text.js";

const PER_USER = 4;
const SAMPLES = 2_000;

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

const measure = async (sessions, file) => {
  const store = sqliteStore(file);
  const manager = createSessions({ store });
  const lists = [];
  const ids = [];
  const start = performance.now();
  let listing = 0;
  for (let i = 0; i < sessions; i++) {
    const userId = `user-${Math.floor(i / PER_USER)}`;
    const { session } = await manager.create({ userId, values: values() });
    if (random(sessions) < SAMPLES) ids.push(session.id);
    if (![sessions / 100, sessions / 10, sessions].includes(i + 1)) continue;
    const before = performance.now();
    const list = await timeOf(() => manager.list({ user: `user-${random((i + 1) / PER_USER)}` }));
    lists.push({ sessions: i + 1, list });
    listing += performance.now() - before;
  }
  const create = ((performance.now() - start - listing) * 1000) / sessions;
  const [sample] = await store.list("user:user-0");
  const open = await timeOf(() => manager.open(ids[random(ids.length)]));
  const write = await timeOf(async () => {
    const session = await manager.open(ids[random(ids.length)]);
    session.set("visits", random(1_000_000));
    await session.commit();
  });
  await manager.close();
  return {
    sessions,
    lists,
    create,
    open,
    write,
    ownData: sizeOf(sample),
    perSession: statSync(file).size / sessions,
  };
};

const folder = mkdtempSync(join(tmpdir(), "lanai-bench-"));
measure(Number(process.argv[2]), join(folder, "sessions.db"))
  .then(
    (result) => process.send(result),
    (error) => {
      console.error(error);
      process.exitCode = 1;
    },
  )
  .finally(() => rmSync(folder, { recursive: true, force: true }));
