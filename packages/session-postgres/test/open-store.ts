import type { IndexedStore } from "@lanai/session";
import { postgresStore } from "@lanai/session-postgres";
import { Pool, type PoolConfig } from "pg";

/** Opens the store in a process of its own: a module of `two-processes`. */
export function openStore(options: unknown): IndexedStore {
  const pool = new Pool(options as PoolConfig);
  const store = postgresStore(pool);
  return {
    ...store,
    async close() {
      store.close();
      await pool.end();
    },
  };
}
