import { setTimeout as wait } from "node:timers/promises";
import {
  type Change,
  type CommitResult,
  type Ended,
  type IndexedStore,
  type Key,
  knownOptions,
  type Loaded,
  type NewRecord,
  SessionError,
  type SessionRecord,
} from "@lanai/session";
import {
  codeOf,
  failure,
  leavesTheConnection,
  mayBeTriedAgain,
  UNIQUE_VIOLATION,
} from "./failure.ts";
import { namesOf, type Statements, SWEPT_AT_ONCE, schemaOf, statementsOf } from "./statements.ts";

/** The calls of a `pg.Pool` that are used. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

/** The calls of a `pg.PoolClient` that are used. */
export interface PostgresClient {
  query(query: { name?: string; text: string; values?: unknown[] }): Promise<{ rows: unknown[] }>;
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

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
   * How often this process deletes what has expired, in milliseconds. An integer from 1,000 to
   * 86,400,000, a day, or `Infinity`: never, for those who call `sweep()` themselves. Default: 60,000.
   */
  readonly sweepInterval?: number;
  /**
   * How many answers of PostgreSQL, a connection of the pool included, may be waited for. While it
   * hangs, what comes beyond is refused at once, and doesn't fill this process's memory. An integer
   * from 1. Default: 10,000.
   */
  readonly maxWaiting?: number;
}

export interface PostgresStore extends IndexedStore {
  load(key: Key): Promise<Loaded>;
  create(key: Key, record: NewRecord): Promise<Key>;
  commit(key: Key, change: Change): Promise<CommitResult>;
  destroy(key: Key): Promise<Ended | undefined>;
  list(owner: string): Promise<readonly SessionRecord[]>;
  destroyByPublicId(owner: string, publicId: string): Promise<Ended | undefined>;
  destroyAll(owner: string, options?: { except?: string }): Promise<readonly Ended[]>;
  close(): void;
  /** The SQL that creates what the store needs; running it again is harmless. */
  readonly schema: string;
  /**
   * Creates what the store needs, unless it is there; several processes may do so at once.
   *
   * @throws {Error} if the database is not encoded in UTF-8, which alone keeps every text.
   */
  migrate(): Promise<void>;
  /**
   * Deletes what has expired, 1,000 rows at a time, without waiting for anybody; several processes
   * share the work. Resolves to the number of sessions that it deleted.
   */
  sweep(): Promise<number>;
}

/** How often a statement is sent again that met a serialization failure or a deadlock. */
const TRIES = 32;

/**
 * Keeps sessions in PostgreSQL 12 or newer: durable, and shared by all processes that use the
 * database. Each call is one statement and one round trip, atomic at every isolation level. Time is
 * the server's.
 *
 * The pool is the app's: the store never ends it. Give it time-outs (`connectionTimeoutMillis`,
 * `query_timeout`), or what was asked of a server that hangs is still carried out when it goes on.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range.
 */
export const postgresStore = (
  pool: PostgresPool,
  options: PostgresStoreOptions = {},
): PostgresStore => {
  checkOptions(pool, options);
  const { table = "lanai_sessions", prepare = true } = options;
  const { sweepInterval = 60_000, maxWaiting = 10_000 } = options;
  const names = namesOf(table);
  const statements = statementsOf(names);
  const schema = schemaOf(names);

  let waiting = 0;

  const query = async <Row>(text: string, values?: unknown[], name?: string): Promise<Row[]> => {
    if (waiting === maxWaiting) {
      throw new Error(`PostgreSQL owes ${waiting} answers, and maxWaiting allows no more`);
    }
    waiting += 1;
    try {
      const asked = { text, ...(values && { values }), ...(name && { name }) };
      return (await queryBy(pool, asked)) as Row[];
    } finally {
      waiting -= 1;
    }
  };

  /** Safe to send again: every statement is one transaction of its own. */
  const send = async <Row>(statement: keyof Statements, values: unknown[]): Promise<Row[]> => {
    const name = prepare ? `${table} ${statement}` : undefined;
    for (let tries = 1; ; tries++) {
      try {
        return await query<Row>(statements[statement], values, name);
      } catch (error) {
        if (!mayBeTriedAgain(error) || tries === TRIES) throw error;
        await wait(Math.random() * 2 ** Math.min(tries, 6));
      }
    }
  };

  const ask = async <Row>(statement: keyof Statements, values: unknown[]): Promise<Row[]> => {
    try {
      return await send<Row>(statement, values);
    } catch (error) {
      throw failure(error);
    }
  };

  /** Asks for a key that may be taken: by an expired session, which goes, or by the same operation. */
  const askForKey = async <Row>(
    key: Key,
    statement: keyof Statements,
    values: unknown[],
  ): Promise<Row[]> => {
    try {
      return await send<Row>(statement, values);
    } catch (error) {
      if (codeOf(error) !== UNIQUE_VIOLATION) throw failure(error);
    }
    await ask("free", [key]);
    try {
      return await send<Row>(statement, values);
    } catch (error) {
      throw codeOf(error) === UNIQUE_VIOLATION ? keyTaken() : failure(error);
    }
  };

  const sweep = async (): Promise<number> => {
    let swept = 0;
    for (;;) {
      const [row] = await ask<{ expired: string; forgotten: string }>("sweep", [SWEPT_AT_ONCE]);
      const [expired, forgotten] = [Number(row?.expired), Number(row?.forgotten)];
      swept += expired;
      if (closed || Math.max(expired, forgotten) < SWEPT_AT_ONCE) return swept;
    }
  };

  let sweeping = false;
  let sweepFailed = false;
  const sweepBySchedule = async () => {
    if (sweeping) return;
    sweeping = true;
    try {
      await sweep();
      sweepFailed = false;
    } catch (error) {
      if (!sweepFailed && !closed) process.emitWarning(`expired sessions stay: ${String(error)}`);
      sweepFailed = true;
    } finally {
      sweeping = false;
    }
  };

  let closed = false;
  const sweeper =
    sweepInterval === Infinity
      ? undefined
      : setInterval(() => void sweepBySchedule(), sweepInterval).unref();
  pool.on("error", ignore);

  return {
    schema,

    async migrate() {
      try {
        const [found] = await query<{ encoding: string; last: string | null }>(
          "SELECT current_setting('server_encoding') AS encoding, to_regclass($1)::text AS last",
          [names.last],
        );
        if (found?.encoding !== "UTF8") {
          throw new Error(`the database must be encoded in UTF8, it is in ${found?.encoding}`);
        }
        // A role that may not create anything can still call this when everything is there.
        if (found.last !== null) return;
        // Several statements in one message are one transaction; the lock ends with it.
        await query(`SELECT pg_advisory_xact_lock(hashtext('${table}'));\n${schema}`);
      } catch (error) {
        throw failure(error);
      }
    },

    sweep,

    async load(key) {
      const [row] = await ask<LoadedRow>("load", [key]);
      if (!row) return { status: "none" };
      if (row.status === "renewed") return { status: "renewed" };
      return { status: "live", record: readRecord(row.record), now: Number(row.now) };
    },

    async create(key, { operation, publicId, values, owners, idle, absolute }) {
      const created = [key, publicId, jsonOf(values), [...owners], idle, absolute, operation];
      const [row] = await askForKey<{ key: Key | null }>(key, "create", created);
      if (!row?.key) throw keyTaken();
      return row.key;
    },

    async commit(key, change) {
      const { renewTo } = change;
      const values = parametersOf(key, change);
      const [row] = renewTo
        ? await askForKey<CommitRow>(renewTo, "commit", values)
        : await ask<CommitRow>("commit", values);
      switch (row?.status) {
        case "saved":
          return { status: "saved", key: row.key };
        case "renewed":
          return { status: "renewed" };
        case "conflict":
          return { status: "conflict", record: readRecord(row.record) };
        default:
          return { status: "gone" };
      }
    },

    async destroy(key) {
      const [ended] = await ask<EndedRow>("destroy", [key]);
      return ended && readEnded(ended);
    },

    async list(owner) {
      const rows = await ask<{ record: string }>("list", [owner]);
      return rows.map(({ record }) => readRecord(record));
    },

    async destroyByPublicId(owner, publicId) {
      const [ended] = await ask<EndedRow>("destroyByPublicId", [owner, publicId]);
      return ended && readEnded(ended);
    },

    async destroyAll(owner, { except } = {}) {
      const rows = await ask<EndedRow>("destroyAll", [owner, except ?? null]);
      return rows.map(readEnded);
    },

    close() {
      closed = true;
      clearInterval(sweeper);
      pool.off("error", ignore);
    },
  };
};

const queryBy = async (
  pool: PostgresPool,
  query: Parameters<PostgresClient["query"]>[0],
): Promise<unknown[]> => {
  const client = await pool.connect();
  // Without a listener a connection that breaks would end the process; the query fails besides.
  client.on("error", ignore);
  let broken = true;
  try {
    const { rows } = await client.query(query);
    broken = false;
    return rows;
  } catch (error) {
    broken = !leavesTheConnection(error);
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(broken);
  }
};

/** What pg tells of an idle connection that broke: the pool has dropped it already. */
const ignore = () => {};

interface LoadedRow {
  readonly status: "live" | "renewed";
  readonly now: string;
  readonly record: string;
}

interface CommitRow {
  readonly status: CommitResult["status"];
  readonly key: Key;
  readonly record: string;
}

interface EndedRow {
  readonly public_id: string;
  readonly owners: string;
}

const jsonOf = (entries: ReadonlyMap<string, string | undefined>): string =>
  JSON.stringify(Object.fromEntries([...entries].map(([name, text]) => [name, text ?? null])));

const parametersOf = (key: Key, change: Change): unknown[] => {
  const { set, expect, addOwners, removeOwners } = change;
  const entriesChange = set?.size || change.delete?.size;
  const ownersChange = addOwners?.size || removeOwners?.size;
  return [
    key,
    change.operation,
    change.renewTo ?? null,
    expect?.size ? jsonOf(expect) : null,
    // Where nothing changes nothing is written: a large value keeps its place.
    entriesChange ? jsonOf(set ?? new Map()) : null,
    [...(change.delete ?? [])],
    ownersChange ? [...(addOwners ?? [])] : null,
    [...(removeOwners ?? [])],
    change.touch ?? false,
    change.restart ?? false,
    change.idle ?? null,
    change.absolute ?? null,
  ];
};

const readRecord = (json: string): SessionRecord => {
  const record = JSON.parse(json);
  return {
    publicId: record.publicId,
    values: new Map(Object.entries<string>(record.entries)),
    owners: new Set(record.owners),
    createdAt: record.createdAt,
    startedAt: record.startedAt,
    seenAt: record.seenAt,
    // JSON has no Infinity: PostgreSQL writes it as a text.
    idle: Number(record.idle),
    absolute: Number(record.absolute),
  };
};

const readEnded = (row: EndedRow): Ended => ({
  publicId: row.public_id,
  owners: new Set(JSON.parse(row.owners)),
});

const keyTaken = () =>
  new SessionError("ERR_SESSION_KEY_TAKEN", "postgresStore: the key is in use");

const OPTIONS = ["table", "prepare", "sweepInterval", "maxWaiting"];
const TABLE = /^(?:[a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*$/;

const checkOptions = (pool: PostgresPool, options: PostgresStoreOptions) => {
  if (typeof pool?.connect !== "function" || typeof pool.on !== "function") {
    throw new TypeError("postgresStore(pool): pool must be a Pool of pg");
  }
  knownOptions("postgresStore", options, OPTIONS);
  const { table, prepare, sweepInterval, maxWaiting = 1 } = options;
  if (table !== undefined && typeof table !== "string") {
    throw new TypeError(`postgresStore: table must be a string, got ${typeof table}`);
  }
  if (table !== undefined && !(TABLE.test(table) && table.length <= 40)) {
    throw new RangeError(
      'postgresStore: table must be "name" or "schema.name" of a-z, 0-9 and _, at most 40 characters, ' +
        `got ${JSON.stringify(table)}`,
    );
  }
  if (prepare !== undefined && typeof prepare !== "boolean") {
    throw new TypeError(`postgresStore: prepare must be a boolean, got ${typeof prepare}`);
  }
  if (sweepInterval !== undefined && !isSweepInterval(sweepInterval)) {
    throw new RangeError(
      "postgresStore: sweepInterval must be an integer of milliseconds from 1000 to 86400000, or " +
        `Infinity, got ${String(sweepInterval)}`,
    );
  }
  if (!Number.isSafeInteger(maxWaiting) || maxWaiting < 1) {
    throw new RangeError(
      `postgresStore: maxWaiting must be an integer from 1, got ${String(maxWaiting)}`,
    );
  }
};

const isSweepInterval = (value: number) =>
  value === Infinity || (Number.isInteger(value) && value >= 1000 && value <= 86_400_000);
