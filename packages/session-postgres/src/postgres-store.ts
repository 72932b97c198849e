import { setTimeout as wait } from "node:timers/promises";
import {
  type Async,
  type Ended,
  type IndexedStore,
  type Key,
  type OwnerLimit,
  PAGE_SIZE,
  type PagedStore,
  retryLater,
  SessionError,
  sessionLimitError,
  undamaged,
} from "@lanai/session/store";
import { ignore, queryBy, survive } from "./connection.ts";
import { codeOf, failure, mayBeTriedAgain, overtaken, UNIQUE_VIOLATION } from "./failure.ts";
import type { PostgresPool, PostgresStoreOptions } from "./options.ts";
import { validate } from "./options.ts";
import {
  type CommitRow,
  type CreateRow,
  type DestroyedRow,
  type EndedRow,
  isEnded,
  jsonOf,
  type LimitedRow,
  type LoadedRow,
  parametersOf,
  readEnded,
  readRecord,
  resultOf,
} from "./rows.ts";
import {
  namesOf,
  OVERTAKEN,
  type Statements,
  SWEPT_AT_ONCE,
  schemaOf,
  statementsOf,
  VERSION,
  versionIn,
} from "./statements.ts";

/** A store in PostgreSQL, with the calls that set up and clean its tables. */
export interface PostgresStore extends Async<IndexedStore & PagedStore> {
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

/**
 * The greatest number of times that a statement is sent again after a serialization failure or a
 * deadlock.
 */
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
export function postgresStore(
  pool: PostgresPool,
  options: PostgresStoreOptions = {},
): PostgresStore {
  validate(pool, options);
  const { table = "lanai_sessions", prepare = true } = options;
  const { sweepInterval = 60_000, maxWaiting = 10_000 } = options;
  const names = namesOf(table);
  const statements = statementsOf(names);
  const schema = schemaOf(names);

  let waiting = 0;

  const query = async <Row>(text: string, values?: unknown[], name?: string): Promise<Row[]> => {
    if (waiting === maxWaiting) {
      throw new Error(
        `${waiting} replies of PostgreSQL are outstanding: that is the limit maxWaiting`,
      );
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
        return refuseOvertaken(await query<Row>(statements[statement], values, name));
      } catch (error) {
        if (!mayBeTriedAgain(error) || tries === TRIES) throw error;
        await wait(Math.random() * 2 ** Math.min(tries, 6));
      }
    }
  };

  const call = async <Row>(statement: keyof Statements, values: unknown[]): Promise<Row[]> => {
    try {
      return await send<Row>(statement, values);
    } catch (error) {
      throw failure(error);
    }
  };

  /**
   * Asks for a key that may be in use: by an expired session, which is removed, or by the same
   * operation.
   */
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
    await call("free", [key]);
    try {
      return await send<Row>(statement, values);
    } catch (error) {
      throw codeOf(error) === UNIQUE_VIOLATION ? keyTaken() : failure(error);
    }
  };

  const askForCommit = async (
    renewTo: Key | undefined,
    statement: keyof Statements,
    values: unknown[],
  ): Promise<CommitRow[]> => {
    if (renewTo === undefined) return call<CommitRow>(statement, values);
    const rows = await askForKey<CommitRow>(renewTo, statement, values);
    // The key that the session has itself violates nothing.
    if (rows[0]?.status === "taken") throw keyTaken();
    return rows;
  };

  /** If the same operation has run beside this one, what it ended is seen by a statement of its own. */
  const end = async (
    statement: keyof Statements,
    values: unknown[],
    operation: string | undefined,
  ): Promise<Ended[]> => {
    const rows = await call<EndedRow>(statement, [...values, operation ?? null]);
    const ended = rows.filter(isEnded).map(readEnded);
    if (ended.length > 0 || operation === undefined) return ended;
    return (await call<EndedRow>("endedBy", [operation])).filter(isEnded).map(readEnded);
  };

  /** Asks what a sign-in has ended whose answer didn't come. */
  const tellLate =
    (limitOwner: OwnerLimit, operation: string) =>
    (error: unknown): never => {
      if (!(error instanceof SessionError)) {
        const asking = () => call<EndedRow>("endedBy", [operation]);
        void asking()
          .catch(() => retryLater(asking))
          .then((rows) => rows?.length && limitOwner.onEnded?.(rows.map(readEnded)));
      }
      throw error;
    };

  const sweep = async (): Promise<number> => {
    let swept = 0;
    for (;;) {
      const [row] = await call<{ expired: string; forgotten: string }>("sweep", [SWEPT_AT_ONCE]);
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
  pool.on("connect", survive);

  return {
    schema,
    limitsOwners: true,

    async migrate() {
      try {
        const [found] = await query<{
          encoding: string;
          last: string | null;
          comment: string | null;
        }>(
          "SELECT current_setting('server_encoding') AS encoding, to_regclass($1)::text AS last, " +
            "obj_description(to_regclass($2), 'pg_class') AS comment",
          [names.last, names.sessions],
        );
        if (found?.encoding !== "UTF8") {
          throw new Error(`the database must be encoded in UTF8, it is in ${found?.encoding}`);
        }
        const version = versionIn(found.comment);
        if (version !== VERSION) {
          throw new Error(`the tables have format ${version}, of a later version of this package`);
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
      const [row] = await call<LoadedRow>("load", [key]);
      if (!row) return { status: "none" };
      if (row.status === "renewed") return { status: "renewed" };
      return { status: "live", record: readRecord(row.record), now: Number(row.now) };
    },

    async create(key, { operation, publicId, values, owners, idle, absolute, limitOwner }) {
      const created = [key, publicId, jsonOf(values), [...owners], idle, absolute, operation];
      const [row] = limitOwner
        ? await askForKey<CreateRow>(key, "createWithin", [
            ...created,
            ...limitsOf(limitOwner),
          ]).catch(tellLate(limitOwner, operation))
        : await askForKey<CreateRow>(key, "create", created);
      if (limitOwner) obey(limitOwner, row);
      if (!row?.key) throw keyTaken();
      return row.key;
    },

    async commit(key, change) {
      const { renewTo, limitOwner } = change;
      const values = parametersOf(key, change);
      if (limitOwner) values.push(...limitsOf(limitOwner));
      const statement = limitOwner ? "commitWithin" : "commit";
      const asking = askForCommit(renewTo, statement, values);
      const [row] = await (limitOwner
        ? asking.catch(tellLate(limitOwner, change.operation))
        : asking);
      if (limitOwner) obey(limitOwner, row);
      return resultOf(row);
    },

    async destroy(key, operation) {
      const [ended] = await end("destroy", [key], operation);
      return ended;
    },

    async list(owner, { entries } = {}) {
      const values = [owner, entries ? [...entries] : null];
      const rows = await call<{ record: string }>("list", values);
      return undamaged(rows, ({ record }) => readRecord(record));
    },

    async commitByPublicId(owner, publicId, change) {
      const values = [...parametersOf(publicId, change), owner];
      const [row] = await askForCommit(change.renewTo, "commitByPublicId", values);
      return resultOf(row);
    },

    async destroyByPublicId(owner, publicId, operation) {
      const [ended] = await end("destroyByPublicId", [owner, publicId], operation);
      return ended;
    },

    destroyAll: (owner, { except = null, operation } = {}) =>
      end("destroyAll", [owner, except], operation),

    async count() {
      const [row] = await call<{ count: string }>("count", []);
      return { count: Number(row?.count) };
    },

    async page({ cursor = "", entries } = {}) {
      const values = [cursor, entries ? [...entries] : null];
      const rows = await call<{ record: string; public_id: string }>("page", values);
      const last = rows.length === PAGE_SIZE ? rows.at(-1)?.public_id : undefined;
      const records = undamaged(rows, ({ record }) => readRecord(record));
      return { records, ...(last && { next: last }) };
    },

    async destroyPage({ cursor, operation }) {
      const [, from = null, after = ""] = /^(\S+) (.*)$/s.exec(cursor ?? "") ?? [];
      const [row] = await call<DestroyedRow>("destroyPage", [from, after, operation]);
      const { until, last, ended } = row as DestroyedRow;
      const rows = JSON.parse(ended) as EndedRow[];
      return {
        ended: rows.filter(isEnded).map(readEnded),
        ...(last !== null && { next: `${until} ${last}` }),
      };
    },

    close() {
      closed = true;
      clearInterval(sweeper);
      pool.off("error", ignore);
      pool.off("connect", survive);
    },
  };
}

const limitsOf = ({ owner, limit, overflow }: OwnerLimit): unknown[] => [
  owner,
  limit,
  overflow === "refuse",
];

function obey({ limit, onEnded }: OwnerLimit, row: LimitedRow | undefined): void {
  if (row?.status === "full") throw sessionLimitError(limit);
  const ended = JSON.parse(row?.ended ?? "[]") as { publicId: string; owners: unknown[] }[];
  if (ended.length === 0) return;
  onEnded?.(
    ended.map(({ publicId, owners }) => ({
      publicId,
      owners: new Set(owners.filter((owner) => typeof owner === "string")),
    })),
  );
}

/** @throws An error for which the statement is sent again, if another sign-in has overtaken it. */
function refuseOvertaken<Row>(rows: Row[]): Row[] {
  const [row] = rows as { status?: unknown }[];
  if (row?.status === OVERTAKEN) throw overtaken();
  return rows;
}

const keyTaken = () =>
  new SessionError("ERR_SESSION_KEY_TAKEN", "postgresStore: the key is in use");
