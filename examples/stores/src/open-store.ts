import { memoryStore, type Store, sealedStore } from "@lanai/session";
import { postgresStore } from "@lanai/session-postgres";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { Redis } from "ioredis";
import { Pool } from "pg";

/** The store of that name; where its server or file is, and its secret, comes from the environment. */
export const openStore = async (name: string): Promise<Store> => {
  const { SECRET = "", SQLITE_FILE = "sessions.db", REDIS_URL = "redis://127.0.0.1" } = process.env;
  switch (name) {
    case "memory":
      return memoryStore();
    case "sealed":
      return sealedStore({ context: "app", keys: [SECRET] });
    case "sqlite":
      return sqliteStore(SQLITE_FILE);
    case "redis": {
      const redis = new Redis(REDIS_URL, {
        maxRetriesPerRequest: 1,
        reconnectOnError: (error) => (error.message.includes("READONLY") ? 2 : false),
      });
      redis.on("error", (error) => console.error(`Redis: ${error.message}`));
      return redisStore(redis);
    }
    case "postgres": {
      const pool = new Pool({ connectionTimeoutMillis: 2000, query_timeout: 2000 });
      const store = postgresStore(pool);
      await store.migrate();
      return store;
    }
    default:
      throw new TypeError(`STORE must be memory, sealed, sqlite, redis or postgres, got ${name}`);
  }
};
