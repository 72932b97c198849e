import { randomBytes } from "node:crypto";
import {
  type PostgresStore,
  type PostgresStoreOptions,
  postgresStore,
} from "@lanai/session-postgres";
import { Pool, type PoolConfig } from "pg";
import { type PostgresServer, startPostgres } from "../../../scripts/services/postgres.ts";

/** A database server for one test file, and what its tests make of it. */
export interface Database extends AsyncDisposable {
  readonly server: PostgresServer;
  pool(config?: PoolConfig): Pool;
}

export async function startDatabase(settings: Record<string, string> = {}): Promise<Database> {
  const server = await startPostgres({ settings });
  const pools: Pool[] = [];
  return {
    server,
    pool(config = {}) {
      const pool = new Pool({ ...server.connection, ...config });
      // Tests open many stores on one pool, and each listens to it.
      pool.setMaxListeners(0);
      pools.push(pool);
      return pool;
    },
    async [Symbol.asyncDispose]() {
      for (const pool of pools) pool.on("error", () => {});
      // The server first: a pool that waits for it, or for a connection that a failed test kept,
      // would not end.
      await server.stop();
      for (const pool of pools) if (!pool.ended) void pool.end();
    },
  };
}

/** The name of a table that no other test uses. */
export const newTable = (): string => `t_${randomBytes(8).toString("hex")}`;

/** A store that sweeps only when it is told to. */
export const quietStore = (pool: Pool, options: PostgresStoreOptions = {}): PostgresStore =>
  postgresStore(pool, { sweepInterval: Infinity, ...options });

/** Lets time go by for the sessions of a table, as they see it. */
export async function age(pool: Pool, table: string, ms: number): Promise<void> {
  await pool.query(
    `UPDATE ${table} SET created_at = created_at - ${ms}, started_at = started_at - ${ms},
      seen_at = seen_at - ${ms}`,
  );
  await pool.query(`UPDATE ${table}_renewed SET until = until - ${ms}`);
}

/** Counts the rows of a table and of the one beside it. */
export async function countRows(pool: Pool, table: string): Promise<number> {
  const counts = `(SELECT count(*) FROM ${table}) + (SELECT count(*) FROM ${table}_renewed)`;
  const { rows } = await pool.query<{ n: string }>(`SELECT ${counts} AS n`);
  return Number(rows[0]?.n);
}

/** Sessions by plain SQL, for tests that need many: `owner` is an expression of the row's `n`. */
export async function fill(
  pool: Pool,
  table: string,
  { rows, idle, owner = "'nobody'" }: { rows: number; idle: number; owner?: string },
): Promise<void> {
  await pool.query(
    `INSERT INTO ${table} (public_id, key, entries, owners,
      created_at, started_at, seen_at, idle, absolute, operations)
    SELECT gen_random_uuid(), 'ab.' || gen_random_uuid(), '{}', ARRAY[${owner}],
      now, now, now, ${idle}, 'Infinity', '{}'
    FROM generate_series(1, ${rows}) n, (SELECT extract(epoch FROM now()) * 1000 AS now) clock`,
  );
}
