import type { DatabaseSync } from "node:sqlite";

/** The version of the tables. Tables of before it was stored are of version 1. */
const VERSION = 1;

/**
 * Creates what is missing, and refuses tables of a later version. The triggers keep the index of owners and the old keys in step with the
 * sessions, also where somebody deletes a session by hand: an `id` is used again.
 *
 * REAL holds `Infinity`, and takes no more room than INTEGER for a whole number. The longest column
 * is the last, so that the others are read without it.
 */
export function createSchema(database: DatabaseSync, table: string): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS "${table}" (
      id INTEGER PRIMARY KEY,
      key TEXT NOT NULL UNIQUE,
      public_id TEXT NOT NULL,
      created_at REAL NOT NULL,
      started_at REAL NOT NULL,
      seen_at REAL NOT NULL,
      idle REAL NOT NULL,
      absolute REAL NOT NULL,
      expires_at REAL NOT NULL AS (min(seen_at + idle, started_at + absolute)) VIRTUAL,
      owners TEXT NOT NULL CHECK (json_valid(owners)),
      operations TEXT NOT NULL,
      entries TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS "${table}_expires_at" ON "${table}" (expires_at);

    CREATE TABLE IF NOT EXISTS "${table}_owners" (
      owner TEXT NOT NULL,
      session INTEGER NOT NULL,
      PRIMARY KEY (owner, session)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE IF NOT EXISTS "${table}_old_keys" (
      key TEXT PRIMARY KEY,
      session INTEGER NOT NULL,
      until REAL NOT NULL,
      barred INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS "${table}_old_keys_session" ON "${table}_old_keys" (session);
    CREATE INDEX IF NOT EXISTS "${table}_old_keys_until" ON "${table}_old_keys" (until);

    -- What was ended lately, by the operation; one that ended nothing has a row without a public id.
    CREATE TABLE IF NOT EXISTS "${table}_ends" (
      operation TEXT NOT NULL,
      public_id TEXT NOT NULL,
      owners TEXT NOT NULL,
      until REAL NOT NULL,
      PRIMARY KEY (operation, public_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS "${table}_ends_until" ON "${table}_ends" (until);

    CREATE TRIGGER IF NOT EXISTS "${table}_created" AFTER INSERT ON "${table}" BEGIN
      INSERT INTO "${table}_owners" SELECT value, new.id FROM json_each(new.owners);
    END;
    CREATE TRIGGER IF NOT EXISTS "${table}_owners_changed" AFTER UPDATE OF owners ON "${table}"
    WHEN old.owners <> new.owners BEGIN
      DELETE FROM "${table}_owners"
        WHERE session = old.id AND owner IN (SELECT value FROM json_each(old.owners));
      INSERT INTO "${table}_owners" SELECT value, new.id FROM json_each(new.owners);
    END;
    CREATE TRIGGER IF NOT EXISTS "${table}_ended" AFTER DELETE ON "${table}" BEGIN
      DELETE FROM "${table}_owners"
        WHERE session = old.id AND owner IN (SELECT value FROM json_each(old.owners));
      DELETE FROM "${table}_old_keys" WHERE session = old.id;
    END;

    CREATE TABLE IF NOT EXISTS "${table}_format" (version INTEGER PRIMARY KEY) STRICT;
    INSERT INTO "${table}_format"
      SELECT ${VERSION} WHERE NOT EXISTS (SELECT * FROM "${table}_format");

    -- Fails here rather than at the first request if nothing can be written.
    DELETE FROM "${table}" WHERE false;
  `);
  const format = database.prepare(`SELECT max(version) AS version FROM "${table}_format"`).get();
  if (format?.version !== VERSION) {
    throw new Error(
      `the tables have format ${format?.version}, of a later version of this package`,
    );
  }
  // A table that was made before the column existed lacks it.
  const columns = database
    .prepare("SELECT name FROM pragma_table_info(?)")
    .all(`${table}_old_keys`);
  if (!columns.some(({ name }) => name === "barred")) {
    database.exec(`ALTER TABLE "${table}_old_keys" ADD COLUMN barred INTEGER NOT NULL DEFAULT 0`);
  }
}

/** The prepared statements on the tables. */
export interface Queries {
  /** The session that has a key or had it before, expired or not. */
  readonly find: string;
  readonly list: string;
  /** The session of an owner with a public id. */
  readonly findOne: string;
  readonly count: string;
  /** Live sessions in the order of their ids, which renewals leave alone. */
  readonly page: string;
  readonly insert: string;
  readonly update: string;
  readonly move: string;
  /** Keeps a key that a session had. */
  readonly remember: string;
  /** Bars all keys that a session had: its user has changed. */
  readonly bar: string;
  /** Finds an old key if it is barred. */
  readonly barred: string;
  readonly remove: string;
  readonly end: string;
  readonly endOne: string;
  readonly endOthers: string;
  /** Ends some of the sessions that existed at an instant. Newer ones have greater ids, mostly. */
  readonly endOld: string;
  /** Remembers what an operation has ended. */
  readonly rememberEnd: string;
  /** Finds what an operation has ended. */
  readonly endedBy: string;
  readonly sweepEnds: string;
  readonly sweep: string;
  readonly sweepOldKeys: string;
}

export function queriesOf(table: string): Queries {
  const sessions = `"${table}"`;
  const oldKeys = `"${table}_old_keys"`;
  const ends = `"${table}_ends"`;
  const found = `coalesce(
    (SELECT id FROM ${sessions} WHERE key = :key),
    (SELECT session FROM ${oldKeys} WHERE key = :key AND until > :now)
  )`;
  // The plus keeps SQLite from going through all that is alive instead of what the owner has.
  const owned = `id IN (SELECT session FROM "${table}_owners" WHERE owner = :owner)
    AND +expires_at > :now`;
  const ended = "RETURNING public_id, owners";
  return {
    find: `SELECT * FROM ${sessions} WHERE id = ${found}`,
    list: `SELECT * FROM ${sessions} WHERE ${owned}`,
    findOne: `SELECT * FROM ${sessions} WHERE ${owned} AND public_id = :publicId`,
    count: `SELECT count(*) AS count FROM ${sessions} WHERE expires_at > :now`,
    page: `SELECT * FROM ${sessions} WHERE id > :after AND +expires_at > :now ORDER BY id LIMIT :limit`,
    insert: `INSERT INTO ${sessions} (
        key, public_id, created_at, started_at, seen_at, idle, absolute, owners, operations, entries
      ) VALUES (
        :key, :publicId, :now, :now, :now, :idle, :absolute, :owners, :operations, :entries
      )`,
    update: `UPDATE ${sessions} SET
        started_at = :startedAt, seen_at = :seenAt, idle = :idle, absolute = :absolute,
        owners = :owners, operations = :operations, entries = :entries
      WHERE id = :id`,
    move: `UPDATE ${sessions} SET key = :key WHERE id = :id`,
    // An old key that was forgotten may still be there.
    remember: `INSERT OR REPLACE INTO ${oldKeys} (key, session, until, barred)
      VALUES (:key, :id, :until, :barred)`,
    bar: `UPDATE ${oldKeys} SET barred = 1 WHERE session = :id`,
    barred: `SELECT 1 FROM ${oldKeys} WHERE key = :key AND barred = 1`,
    remove: `DELETE FROM ${sessions} WHERE id = :id`,
    end: `DELETE FROM ${sessions} WHERE id = ${found} AND expires_at > :now ${ended}`,
    endOne: `DELETE FROM ${sessions} WHERE ${owned} AND public_id = :publicId ${ended}`,
    endOthers: `DELETE FROM ${sessions} WHERE ${owned} AND public_id IS NOT :except ${ended}`,
    endOld: `DELETE FROM ${sessions} WHERE id IN (
        SELECT id FROM ${sessions} WHERE created_at <= :until AND +expires_at > :now
        ORDER BY id LIMIT :limit
      ) ${ended}`,
    rememberEnd: `INSERT INTO ${ends} (operation, public_id, owners, until)
      VALUES (:operation, :publicId, :owners, :until)`,
    endedBy: `SELECT public_id, owners FROM ${ends} WHERE operation = :operation AND until > :now`,
    sweepEnds: `DELETE FROM ${ends} WHERE (operation, public_id) IN (
        SELECT operation, public_id FROM ${ends} WHERE until <= :now LIMIT :limit
      )`,
    sweep: `DELETE FROM ${sessions} WHERE id IN (
        SELECT id FROM ${sessions} WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
      )`,
    sweepOldKeys: `DELETE FROM ${oldKeys} WHERE key IN (
        SELECT key FROM ${oldKeys} WHERE until <= :now LIMIT :limit
      )`,
  };
}
