import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cookieTracker,
  headerTracker,
  memoryStore,
  randomIds,
  sealedStore,
  sha1Ids,
  type Tracker,
  uuidIds,
} from "@lanai/session";
import {
  idGeneratorConformance,
  type StoreLimit,
  storeConformance,
  trackerConformance,
} from "@lanai/session/testing";
import { fromExpressStore } from "@lanai/session-compat";
import { jwtStore, jwtTracker } from "@lanai/session-jwt";
import { postgresStore } from "@lanai/session-postgres";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { MemoryStore } from "express-session";
import { Redis } from "ioredis";
import Koa from "koa";
import { Pool } from "pg";
import { age } from "../../packages/session-postgres/test/database.ts";
import { advance as advanceRedis } from "../../packages/session-redis/test/advance.ts";
import type { Test } from "./report.ts";
import type { Servers } from "./servers.ts";

const SECRET = "a secret of these tests that is long enough";
const DAY = 24 * 60 * 60_000;

/** What a store whose records are in the client's hands can't do. */
const CARRIED: readonly StoreLimit[] = [
  ...(["index", "revoke", "final", "merge", "once"] as const),
  ...(["renewed", "taken", "repeat", "large", "forever"] as const),
];

const movable = () => {
  let ahead = 0;
  return {
    clock: () => Date.now() + ahead,
    advance(ms: number) {
      ahead += ms;
    },
  };
};

const inThisProcess = (test: Test): void => {
  storeConformance({
    name: "memory",
    test,
    open() {
      const { clock, advance } = movable();
      return { store: memoryStore({ clock }), advance };
    },
  });
  storeConformance({
    name: "sealed",
    test,
    limits: CARRIED,
    open() {
      const { clock, advance } = movable();
      const store = sealedStore({ context: "test", keys: [SECRET], clock });
      return { store, again: store, advance };
    },
  });
  storeConformance({
    name: "jwtStore",
    test,
    limits: CARRIED,
    open() {
      const { clock, advance } = movable();
      const store = jwtStore({ secret: SECRET, issuer: "tests", expiresIn: 400 * DAY, clock });
      return { store, again: store, advance };
    },
  });
  storeConformance({
    name: "express-session's MemoryStore",
    test,
    limits: fromExpressStore(new MemoryStore()).limits.everywhere,
    open() {
      const { clock, advance } = movable();
      const memory = new MemoryStore();
      const [store, again] = [1, 2].map(() => fromExpressStore(memory, { clock }));
      return { store: store as never, again: again as never, advance };
    },
  });
  storeConformance({
    name: "SQLite",
    test,
    open() {
      const { clock, advance } = movable();
      const folder = mkdtempSync(join(tmpdir(), "lanai-runtimes-"));
      const file = join(folder, "sessions.db");
      return {
        store: sqliteStore(file, { clock }),
        again: sqliteStore(file, { clock }),
        advance,
        close: () => rmSync(folder, { recursive: true }),
      };
    },
  });
};

const onServers = (test: Test, servers: Servers): void => {
  storeConformance({
    name: "Redis",
    test,
    open() {
      const prefix = `${randomUUID()}:`;
      const clients = [new Redis(servers.redis), new Redis(servers.redis)] as const;
      return {
        store: redisStore(clients[0], { prefix }),
        again: redisStore(clients[1], { prefix }),
        advance: (ms) => advanceRedis([{ port: servers.redis }], prefix, ms),
        close() {
          for (const client of clients) client.disconnect();
        },
      };
    },
  });
  storeConformance({
    name: "PostgreSQL",
    test,
    async open() {
      const table = `t_${randomUUID().replaceAll("-", "")}`;
      const pools = [new Pool(servers.postgres), new Pool(servers.postgres)] as const;
      const [store, again] = pools.map((pool) =>
        postgresStore(pool, { table, sweepInterval: Infinity }),
      );
      await store?.migrate();
      return {
        store: store as never,
        again: again as never,
        advance: (ms) => age(pools[0], table, ms),
        async close() {
          await Promise.all(pools.map((pool) => pool.end()));
        },
      };
    },
  });
};

const trackers = (test: Test): void => {
  const made: Record<string, () => Tracker> = {
    "a cookie": () => cookieTracker(),
    "a signed cookie": () => cookieTracker({ keys: [SECRET] }),
    "a header": () => headerTracker(),
    "a JWT in a header": () => jwtTracker({ secret: SECRET, issuer: "tests" }),
  };
  for (const [name, open] of Object.entries(made)) {
    trackerConformance({
      name,
      test,
      createApp() {
        const app = new Koa();
        app.silent = true;
        return app;
      },
      open: () => ({ tracker: open() }),
    });
  }
};

const generators = (test: Test): void => {
  idGeneratorConformance({ name: "randomIds", test, generator: randomIds() });
  idGeneratorConformance({ name: "uuidIds", test, generator: uuidIds() });
  idGeneratorConformance({ name: "sha1Ids", test, generator: sha1Ids() });
};

/** The suites of `@lanai/session/testing`, for all that this workspace has. */
export const sessionSuites = (test: Test, servers: Servers): void => {
  generators(test);
  trackers(test);
  inThisProcess(test);
  onServers(test, servers);
};
