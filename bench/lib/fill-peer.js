// Fills a peer's store and lets all sessions expire:
// `node fill-peer.js <sessions> <expiry> <variant>`.
import { LIFETIME } from "./config.js";
import { fiveKeys } from "./data.js";
import { settledMemory, watchLoop } from "./expiry.js";
import { loadVariant } from "./variants.js";

/** Past the end of the last session by one of the periodic sweeps that some have. */
const MARGIN = 6_000;

const measure = async (name, sessions, expiry) => {
  const app = await (await loadVariant(name))();
  const empty = await settledMemory();
  for (let i = 0; i < sessions; i++) {
    // Through JSON, as from a request: strings are flat, objects have no hidden spare room.
    app.set(`session-id-${String(i).padStart(21, "0")}`, JSON.parse(JSON.stringify(fiveKeys())));
  }
  const full = await settledMemory();
  const { lasted, stall } = await watchLoop(() => false, Math.min(LIFETIME + MARGIN, expiry));
  const after = await settledMemory();
  return {
    sessions,
    heap: full.heapUsed - empty.heapUsed,
    resident: full.rss,
    stall,
    expiringFor: lasted,
    left: app.count(),
    heapAfter: after.heapUsed,
  };
};

const [sessions, expiry, name] = process.argv.slice(2);
measure(name, Number(sessions), Number(expiry)).then(
  (result) => process.send(result),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
