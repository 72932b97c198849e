import { postgresStore } from "@lanai/session-postgres";
import { Pool, type PoolConfig } from "pg";
import { type Framing, startHoldingProxy } from "./holding-proxy.ts";
import type { Driver, RealWorker } from "./play.ts";

/** Returns where the messages of PostgreSQL's protocol end of which the last has one of these kinds, or 0. */
function endOf(bytes: Buffer, lastKinds: string): number {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const kind = String.fromCharCode(bytes[at] as number);
    at += 1 + bytes.readInt32BE(at + 1);
    if (at > bytes.length) return 0;
    if (lastKinds.includes(kind)) return at;
  }
  return 0;
}

/** PostgreSQL's documentation, 54.7: a request ends with Sync, Query or Terminate, an answer with ReadyForQuery. */
const PROTOCOL: Framing = {
  requestLength(bytes, isFirst) {
    if (!isFirst) return endOf(bytes, "SQX");
    const length = bytes.length >= 4 ? bytes.readInt32BE(0) : 0;
    return bytes.length >= length ? length : 0;
  },
  answerLength: (bytes) => endOf(bytes, "Z"),
  isHeld: (request) => request[0] !== "X".charCodeAt(0),
};

const DUPLICATE_KEY = "C23505\0";
const ENDS = new Set(["destroy", "destroyAll", "destroyByPublicId"]);

/** Whether a row comes with an answer. */
const hasEnded = (answer: Buffer): boolean => !answer.includes("SELECT 0");

/** `@lanai/session-postgres` by a pool of pg. */
export async function postgresDriver(config: PoolConfig): Promise<Driver> {
  const ends: (() => Promise<void>)[] = [];
  const openStore = (port?: number) => {
    const pool = new Pool({ ...config, ...(port && { port }) });
    const store = postgresStore(pool, { sweepInterval: Infinity });
    ends.push(async () => {
      store.close();
      await pool.end();
    });
    return { pool, store };
  };
  const { store: direct } = openStore();
  await direct.migrate();

  const open = async (): Promise<RealWorker> => {
    const proxy = await startHoldingProxy(config.port as number, PROTOCOL);
    const { pool, store } = openStore(proxy.port);
    ends.push(() => Promise.resolve(proxy[Symbol.asyncDispose]()));
    const hasSeenCut = async () => {
      while (pool.totalCount > 0) await new Promise((resolve) => setImmediate(resolve));
    };
    return { store, proxy, hasSeenCut };
  };
  return {
    onCut: "reject",
    inSteps: [],
    direct,
    workers: [await open(), await open()],
    following({ method }, round, _request, answer) {
      // Whoever has ended nothing asks whether the same operation has, beside it.
      if (ENDS.has(method)) return round === 1 && !hasEnded(answer) ? 1 : 0;
      // A key that is taken is made free, in case its session has expired, and asked for again.
      return (round === 1 && answer.includes(DUPLICATE_KEY)) || round === 2 ? 1 : 0;
    },
    async [Symbol.asyncDispose]() {
      for (const end of ends) await end();
    },
  };
}
