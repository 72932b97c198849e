import {
  checkOptions,
  checkValue,
  flag,
  integer,
  or,
  type Rule,
  type Rules,
  required,
  withMethods,
} from "@lanai/connection/options";

/** The calls of a `pg.Pool` that are used. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "connect", listener: (client: PostgresClient) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
  off(event: "connect", listener: (client: PostgresClient) => void): unknown;
}

/** The calls of a `pg.PoolClient` that are used. */
export interface PostgresClient {
  query(query: Query): Promise<{ rows: unknown[] }>;
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
  /** The settings that the connection was made with. */
  readonly connectionParameters?: { readonly query_timeout?: unknown };
}

export interface Query {
  readonly text: string;
  readonly name?: string;
  readonly values?: unknown[];
  /** In milliseconds, in place of the pool's. */
  readonly query_timeout?: number;
}

/** Options of `postgresStore`. */
export interface PostgresStoreOptions {
  /**
   * The name of the table, of up to 40 lower-case letters, digits and `_`; a schema may stand before
   * it: `app.sessions`. A second table has the name with `_renewed` behind it. Default:
   * `lanai_sessions`.
   */
  readonly table?: string;
  /**
   * Whether each connection prepares a statement once and keeps it. `false` for a proxy that hands
   * out connections by the transaction and knows no prepared statements (PgBouncer before 1.21).
   * Default: true.
   */
  readonly prepare?: boolean;
  /**
   * The interval at which this process deletes expired sessions, in milliseconds. An integer from
   * 1,000 to 86,400,000 (a day), or `Infinity`: never, if the app calls `sweep()` itself. Default:
   * 60,000.
   */
  readonly sweepInterval?: number;
  /**
   * The greatest number of outstanding replies of PostgreSQL, waiting for a connection of the pool
   * included. While PostgreSQL hangs, calls beyond it are refused at once and don't fill this
   * process's memory. An integer from 1. Default: 10,000.
   */
  readonly maxWaiting?: number;
}

const POOL = required(withMethods("a Pool of pg", "connect", "on"));

const TABLE: Rule = {
  accepted: '"name" or "schema.name" of a-z, 0-9 and _, at most 40 characters',
  kind: (table) => typeof table === "string",
  fits: (table: string) =>
    table.length <= 40 && /^(?:[a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*$/.test(table),
  shows: true,
};

const RULES: Rules<PostgresStoreOptions> = {
  table: TABLE,
  prepare: flag,
  sweepInterval: or(integer(1_000, 86_400_000, "milliseconds"), Infinity),
  maxWaiting: integer(1),
};

export function validate(pool: PostgresPool, options: PostgresStoreOptions): void {
  checkValue("postgresStore", "the first argument", pool, POOL);
  checkOptions("postgresStore", options, RULES);
}
