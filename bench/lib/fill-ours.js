// Fills the memory store and lets all sessions expire:
// `node fill-ours.js <sessions> <expiry> [500-bytes]`.
import { randomBytes, randomUUID } from "node:crypto";
import { createSessions, memoryStore } from "@lanai/session";
import { fiveKeys } from "./data.js";
import { settledMemory, watchLoop } from "./expiry.js";

const fiveShortKeys = () => ({
  uid: randomUUID(),
  name: `user-${randomBytes(8).toString("hex")}`,
  theme: "dark",
  locale: "en-GB",
  visits: 1,
});

const MINUTE = 60_000;

const measure = async (sessions, expiry, makeValues) => {
  let ahead = 0;
  const store = memoryStore({ maxSessions: sessions, clock: () => Date.now() + ahead });
  const manager = createSessions({ store, idleTimeout: 60 * MINUTE });
  // One first, so that what is made once is not counted.
  await manager.create({ values: makeValues() });

  const empty = await settledMemory();
  let ownData = 0;
  for (let i = 1; i < sessions; i++) {
    const values = makeValues();
    await manager.create({ values });
    for (const [key, value] of Object.entries(values)) {
      ownData += Buffer.byteLength(`d:${key}`) + Buffer.byteLength(JSON.stringify(value));
    }
  }
  const full = await settledMemory();

  const held = store.size;
  ahead = 61 * MINUTE;
  const { lasted, stall } = await watchLoop(() => store.size === 0, expiry);
  const after = await settledMemory();
  return {
    // One of them was there before.
    sessions: held - 1,
    ownData,
    heap: full.heapUsed - empty.heapUsed,
    resident: full.rss,
    stall,
    expiringFor: lasted,
    left: store.size,
    heapAfter: after.heapUsed,
  };
};

const [sessions, expiry, size] = process.argv.slice(2);
measure(Number(sessions), Number(expiry), size === "500-bytes" ? fiveKeys : fiveShortKeys).then(
  (result) => process.send(result),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
