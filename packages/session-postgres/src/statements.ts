import { RENEWED_FOR } from "@lanai/session";

/** The names of a store's tables and indexes, quoted. */
export interface Names {
  readonly sessions: string;
  readonly renewed: string;
  /** In the schema of the tables, as `CREATE INDEX` wants it: without the schema. */
  readonly index: (column: string) => string;
  /** What the schema creates last: where this is, all is. */
  readonly last: string;
}

export const namesOf = (table: string): Names => {
  const parts = table.split(".");
  const name = parts.at(-1) as string;
  const quote = (last: string) => [...parts.slice(0, -1), last].map((it) => `"${it}"`).join(".");
  return {
    sessions: quote(name),
    renewed: quote(`${name}_renewed`),
    index: (column) => `"${name}_${column}"`,
    last: quote(`${name}_renewed_until`),
  };
};

/**
 * Instants and durations are milliseconds in double precision, which knows `Infinity`. An update
 * that touches no index stays on its page as long as there is room: hence the fill factor. With
 * `fastupdate` a search for an owner would also read what others have written lately.
 */
export const schemaOf = ({ sessions, renewed, index }: Names): string => `\
CREATE TABLE IF NOT EXISTS ${sessions} (
  public_id text COLLATE "C" PRIMARY KEY,
  key text COLLATE "C" NOT NULL UNIQUE,
  entries jsonb NOT NULL,
  owners text[] COLLATE "C" NOT NULL,
  created_at double precision NOT NULL,
  started_at double precision NOT NULL,
  seen_at double precision NOT NULL,
  idle double precision NOT NULL,
  absolute double precision NOT NULL,
  expires_at double precision NOT NULL
    GENERATED ALWAYS AS (LEAST(seen_at + idle, started_at + absolute)) STORED,
  operations text[] COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS ${index("expires_at")} ON ${sessions} (expires_at);
CREATE INDEX IF NOT EXISTS ${index("owners")} ON ${sessions} USING gin (owners) WITH (fastupdate = off);
CREATE TABLE IF NOT EXISTS ${renewed} (
  key text COLLATE "C" PRIMARY KEY,
  public_id text COLLATE "C" NOT NULL,
  until double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS ${index("renewed_until")} ON ${renewed} (until);
`;

/** How many of a session's last operations are known when they come again. */
const REMEMBERED_OPERATIONS = 8;
/** How many rows of each table one sweep deletes at most. */
export const SWEPT_AT_ONCE = 1000;

/** The server's clock as it runs: `now()` would be the beginning of the statement's wait. */
const NOW = "floor(extract(epoch FROM clock_timestamp()) * 1000)::double precision";

/** One text, so that the app's own type parsers of pg change nothing. */
const RECORD = `json_build_object(
  'publicId', s.public_id, 'entries', s.entries, 'owners', s.owners,
  'createdAt', s.created_at, 'startedAt', s.started_at, 'seenAt', s.seen_at,
  'idle', s.idle, 'absolute', s.absolute)::text`;

const ENDED = "s.public_id, to_json(s.owners)::text AS owners";

/** A statement for each call of a store. */
export interface Statements {
  readonly load: string;
  readonly create: string;
  readonly commit: string;
  readonly destroy: string;
  readonly list: string;
  readonly destroyByPublicId: string;
  readonly destroyAll: string;
  /** Makes the key of an expired session free. */
  readonly free: string;
  readonly sweep: string;
}

export const statementsOf = ({ sessions, renewed }: Names): Statements => {
  /** Whose key `$1` is, or was less than a minute ago. */
  const whose = `COALESCE(
    (SELECT public_id FROM ${sessions} WHERE key = $1),
    (SELECT public_id FROM ${renewed} WHERE key = $1 AND until > ${NOW}))`;

  return {
    load: `
      SELECT 'live' AS status, (${NOW})::text AS now, ${RECORD} AS record
      FROM ${sessions} s
      WHERE s.key = $1 AND s.expires_at > ${NOW}
      UNION ALL
      SELECT 'renewed', NULL, NULL
      FROM ${renewed} r JOIN ${sessions} s USING (public_id)
      WHERE r.key = $1 AND r.until > ${NOW} AND s.expires_at > ${NOW}`,

    create: `
      WITH clock AS MATERIALIZED (SELECT ${NOW} AS now),
      taken AS MATERIALIZED (
        SELECT operations FROM ${sessions}, clock
        WHERE public_id = ${whose} AND expires_at > now
      ),
      created AS (
        INSERT INTO ${sessions} (key, public_id, entries, owners, idle, absolute,
          created_at, started_at, seen_at, operations)
        SELECT $1, $2, $3::jsonb, $4::text[], $5, $6, now, now, now, ARRAY[$7, $1]
        FROM clock WHERE NOT EXISTS (SELECT FROM taken)
        RETURNING key
      )
      SELECT key FROM created
      UNION ALL SELECT operations[array_position(operations, $7) + 1] FROM taken`,

    // The row is locked first and judged then: what is judged without the lock may be outdated when
    // it is written. The update finds the row as it was locked (PostgreSQL, 13.2.1 Read Committed).
    commit: `
      WITH locked AS MATERIALIZED (
        SELECT * FROM ${sessions} WHERE public_id = ${whose} FOR UPDATE
      ),
      clock AS MATERIALIZED (SELECT public_id, ${NOW} AS now FROM locked),
      judged AS MATERIALIZED (
        SELECT s.*, now, array_position(operations, $2) AS repeated,
          CASE
            WHEN $2 = ANY (operations) THEN 'repeated'
            WHEN expires_at <= now THEN 'gone'
            WHEN $3::text IS NOT NULL AND key <> $1 THEN 'renewed'
            WHEN EXISTS (
              SELECT FROM jsonb_each_text($4::jsonb) e
              WHERE s.entries ->> e.key IS DISTINCT FROM e.value
            ) THEN 'conflict'
            ELSE 'saved'
          END AS status
        FROM locked s JOIN clock USING (public_id)
      ),
      saved AS (
        UPDATE ${sessions} s SET
          key = COALESCE($3, s.key),
          entries = CASE WHEN $5::jsonb IS NULL THEN s.entries
            ELSE (s.entries - $6::text[]) || $5 END,
          owners = CASE WHEN $7::text[] IS NULL THEN s.owners ELSE ARRAY(
            SELECT owner FROM unnest(s.owners) owner WHERE owner <> ALL ($8::text[])
            UNION SELECT unnest($7)) END,
          seen_at = CASE WHEN $9::boolean THEN now ELSE s.seen_at END,
          started_at = CASE WHEN $10::boolean THEN now ELSE s.started_at END,
          idle = COALESCE($11, s.idle),
          absolute = COALESCE($12, s.absolute),
          operations = (ARRAY[$2, COALESCE($3, s.key)] || s.operations)[1:${2 * REMEMBERED_OPERATIONS}]
        FROM judged WHERE s.public_id = judged.public_id AND status = 'saved'
      ),
      marked AS (
        INSERT INTO ${renewed} (key, public_id, until)
        SELECT $1, public_id, now + ${RENEWED_FOR} FROM judged
        WHERE status = 'saved' AND $3 IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET public_id = excluded.public_id, until = excluded.until
      )
      SELECT
        CASE status WHEN 'repeated' THEN 'saved' ELSE status END AS status,
        CASE status WHEN 'repeated' THEN operations[repeated + 1] ELSE COALESCE($3, key) END AS key,
        CASE status WHEN 'conflict' THEN ${RECORD} END AS record
      FROM judged s`,

    destroy: `
      DELETE FROM ${sessions} s WHERE public_id = ${whose} AND expires_at > ${NOW}
      RETURNING ${ENDED}`,

    list: `
      SELECT ${RECORD} AS record FROM ${sessions} s
      WHERE owners @> ARRAY[$1::text] AND expires_at > ${NOW}`,

    destroyByPublicId: `
      DELETE FROM ${sessions} s
      WHERE public_id = $2 AND owners @> ARRAY[$1::text] AND expires_at > ${NOW}
      RETURNING ${ENDED}`,

    // Locked in one order, so that two of them never wait for each other.
    destroyAll: `
      WITH theirs AS MATERIALIZED (
        SELECT public_id FROM ${sessions}
        WHERE owners @> ARRAY[$1::text] AND public_id IS DISTINCT FROM $2 AND expires_at > ${NOW}
        ORDER BY public_id FOR UPDATE
      )
      DELETE FROM ${sessions} s USING theirs WHERE s.public_id = theirs.public_id
      RETURNING ${ENDED}`,

    free: `DELETE FROM ${sessions} WHERE key = $1 AND expires_at <= ${NOW}`,

    // What another process has in hand is left to it: nobody waits.
    sweep: `
      WITH expired AS (
        DELETE FROM ${sessions} WHERE public_id = ANY (ARRAY(
          SELECT public_id FROM ${sessions} WHERE expires_at <= (SELECT ${NOW})
          LIMIT $1 FOR UPDATE SKIP LOCKED))
        RETURNING 1
      ),
      forgotten AS (
        DELETE FROM ${renewed} WHERE key = ANY (ARRAY(
          SELECT key FROM ${renewed} WHERE until <= (SELECT ${NOW})
          LIMIT $1 FOR UPDATE SKIP LOCKED))
        RETURNING 1
      )
      SELECT (SELECT count(*) FROM expired)::text AS expired,
        (SELECT count(*) FROM forgotten)::text AS forgotten`,
  };
};
