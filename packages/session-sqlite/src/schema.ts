import type { DatabaseSync } from "node:sqlite";

/**
 * Creates what is missing. The triggers keep the index of owners and the old keys in step with the
 * sessions, also where somebody deletes a session by hand: an `id` is used again.
 *
 * REAL holds `Infinity`, and takes no more room than INTEGER for a whole number. The longest column
 * is the last, so that the others are read without it.
 */
export const createSchema = (database: DatabaseSync, table: string): void =>
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
      until REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS "${table}_old_keys_session" ON "${table}_old_keys" (session);
    CREATE INDEX IF NOT EXISTS "${table}_old_keys_until" ON "${table}_old_keys" (until);

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

    -- Fails here rather than at the first request if nothing can be written.
    DELETE FROM "${table}" WHERE false;
  `);

/** What is asked of the tables, by their prepared statements. */
export interface Queries {
  /** The session that has a key or had it before, expired or not. */
  readonly find: string;
  readonly list: string;
  readonly insert: string;
  readonly update: string;
  readonly move: string;
  /** As the key that a session had. */
  readonly remember: string;
  readonly remove: string;
  readonly end: string;
  readonly endOne: string;
  readonly endOthers: string;
  readonly sweep: string;
  readonly sweepOldKeys: string;
}

export const queriesOf = (table: string): Queries => {
  const sessions = `"${table}"`;
  const oldKeys = `"${table}_old_keys"`;
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
    remember: `INSERT OR REPLACE INTO ${oldKeys} (key, session, until) VALUES (:key, :id, :until)`,
    remove: `DELETE FROM ${sessions} WHERE id = :id`,
    end: `DELETE FROM ${sessions} WHERE id = ${found} AND expires_at > :now ${ended}`,
    endOne: `DELETE FROM ${sessions} WHERE ${owned} AND public_id = :publicId ${ended}`,
    endOthers: `DELETE FROM ${sessions} WHERE ${owned} AND public_id IS NOT :except ${ended}`,
    sweep: `DELETE FROM ${sessions} WHERE id IN (
        SELECT id FROM ${sessions} WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
      )`,
    sweepOldKeys: `DELETE FROM ${oldKeys} WHERE key IN (
        SELECT key FROM ${oldKeys} WHERE until <= :now LIMIT :limit
      )`,
  };
};
