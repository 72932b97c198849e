import { PAGE_SIZE, REMEMBERED_FOR, RENEWED_FOR } from "@lanai/session/store";

/** The names of a store's tables and indexes, quoted. */
export interface TableNames {
  readonly sessions: string;
  readonly renewed: string;
  /** In the schema of the tables, as `CREATE INDEX` wants it: without the schema. */
  readonly index: (column: string) => string;
  /** The table that the schema creates last: if it exists, all of them do. */
  readonly last: string;
}

export function namesOf(table: string): TableNames {
  const parts = table.split(".");
  const name = parts.at(-1) as string;
  const quote = (last: string) => [...parts.slice(0, -1), last].map((it) => `"${it}"`).join(".");
  return {
    sessions: quote(name),
    renewed: quote(`${name}_renewed`),
    index: (column) => `"${name}_${column}"`,
    last: quote(`${name}_renewed_operation`),
  };
}

/** The comment of the table that holds the sessions: it names the version of both tables. */
const FORMAT = "@lanai/session-postgres, format ";
export const VERSION = 1;

/** Returns the version that a table's comment names. Tables of before it was stored are of version 1. */
export function versionIn(comment: string | null): number {
  return comment?.startsWith(FORMAT) ? Number(comment.slice(FORMAT.length)) : VERSION;
}

/**
 * Instants and durations are milliseconds in double precision, which knows `Infinity`. An update
 * that touches no index stays on its page as long as there is room: hence the fill factor. With
 * `fastupdate` a search for an owner would also read what others have written lately.
 */
export const schemaOf = ({ sessions, renewed, index }: TableNames): string => `\
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
  operations text[] COLLATE "C" NOT NULL,
  old_keys text[] COLLATE "C" NOT NULL DEFAULT '{}'
) WITH (fillfactor = 80);
-- A table that was made before the column existed lacks it.
ALTER TABLE ${sessions} ADD COLUMN IF NOT EXISTS old_keys text[] COLLATE "C" NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS ${index("expires_at")} ON ${sessions} (expires_at);
CREATE INDEX IF NOT EXISTS ${index("owners")} ON ${sessions} USING gin (owners) WITH (fastupdate = off);
CREATE TABLE IF NOT EXISTS ${renewed} (
  key text COLLATE "C" PRIMARY KEY,
  public_id text COLLATE "C" NOT NULL,
  until double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS ${index("renewed_until")} ON ${renewed} (until);
-- What an operation has ended is remembered there, too, under a key of its own.
ALTER TABLE ${renewed} ADD COLUMN IF NOT EXISTS operation text COLLATE "C";
ALTER TABLE ${renewed} ADD COLUMN IF NOT EXISTS owners text[] COLLATE "C";
CREATE INDEX IF NOT EXISTS ${index("renewed_operation")} ON ${renewed} (operation);
COMMENT ON TABLE ${sessions} IS '${FORMAT}${VERSION}';
`;

/** The number of a session's last operations that are recognized when they are repeated. */
const REMEMBERED_OPERATIONS = 8;
/**
 * The number of keys of a session, from before its last renewals, that may still write to it. They
 * are in the session's own row: a statement that waited for the row's lock sees the row as it is
 * now, but every other table as it was before.
 */
const WRITABLE_OLD_KEYS = 16;
/** The greatest number of rows of each table that one sweep deletes. */
export const SWEPT_AT_ONCE = 1000;

/** The server's clock as it runs: `now()` would be the beginning of the statement's wait. */
const NOW = "floor(extract(epoch FROM clock_timestamp()) * 1000)::double precision";

/** One text, so that the app's own type parsers of pg change nothing. */
const recordWith = (entries: string) => `json_build_object(
  'publicId', s.public_id, 'entries', ${entries}, 'owners', s.owners,
  'createdAt', s.created_at, 'startedAt', s.started_at, 'seenAt', s.seen_at,
  'idle', s.idle, 'absolute', s.absolute)::text`;

/** The status of a sign-in that another one has overtaken: nothing was applied. */
export const OVERTAKEN = "overtaken";
const RECORD = recordWith("s.entries");

/** The record with the entries that `$2` names, or with all if that is null. */
const SOME_OF_RECORD = recordWith(`CASE WHEN $2::text[] IS NULL THEN s.entries ELSE (
  SELECT COALESCE(jsonb_object_agg(name, s.entries -> name), '{}')
  FROM unnest($2::text[]) name WHERE s.entries ? name) END`);

/** The way in which a commit finds its session, and the key by which the writer knows it. */
interface Access {
  /** `undefined`: by the key `$1`. */
  readonly found: string | undefined;
  readonly key: string;
  readonly mayWrite: string;
}

const BY_KEY: Access = { found: undefined, key: "$1", mayWrite: "true" };
/** `$1` is the public id, `$14` an owner. */
const BY_PUBLIC_ID: Access = {
  found: "$1",
  key: "s.key",
  mayWrite: "owners @> ARRAY[$14::text]",
};

/** A statement for each call of a store. */
export interface Statements {
  readonly load: string;
  readonly create: string;
  readonly commit: string;
  /** A create and a commit that sign in a user whose sessions are limited. */
  readonly createWithin: string;
  readonly commitWithin: string;
  readonly destroy: string;
  readonly list: string;
  readonly commitByPublicId: string;
  readonly destroyByPublicId: string;
  readonly destroyAll: string;
  readonly count: string;
  readonly page: string;
  readonly destroyPage: string;
  /** The sessions that an operation has ended. */
  readonly endedBy: string;
  /** Makes the key of an expired session free. */
  readonly free: string;
  readonly sweep: string;
}

/** The parts of a statement that keep an owner's sessions within a limit. See `within`. */
interface Within {
  /** Whether there are as many other sessions as are allowed, and one more is refused. */
  readonly isFull: string;
  readonly begin: string;
  /** Ends what is due, if the relation has a row. */
  readonly end: (saved: string) => string;
  /** The sessions that the operation has ended, as JSON. */
  readonly ended: string;
}

export function statementsOf({ sessions, renewed }: TableNames): Statements {
  /** SessionOwner key `$1` is, or was less than a minute ago. */
  const whose = `COALESCE(
    (SELECT public_id FROM ${sessions} WHERE key = $1),
    (SELECT public_id FROM ${renewed} WHERE key = $1 AND until > ${NOW}))`;

  /**
   * Ends the sessions that meet a condition, unless the operation has done so before. The sessions are
   * locked in one order, so that two calls never wait for each other. An operation that ended nothing
   * is remembered without a public id.
   */
  const ending = (operation: string, condition: string) => `
      repeated AS MATERIALIZED (
        SELECT public_id, owners FROM ${renewed} WHERE operation = ${operation} AND until > ${NOW}
      ),
      due AS MATERIALIZED (
        SELECT public_id FROM ${sessions}
        WHERE ${condition} AND expires_at > ${NOW} AND NOT EXISTS (SELECT FROM repeated)
        ORDER BY public_id FOR UPDATE
      ),
      gone AS (
        DELETE FROM ${sessions} s USING due WHERE s.public_id = due.public_id
        RETURNING s.public_id, s.owners
      ),
      remembered AS (
        INSERT INTO ${renewed} (key, operation, public_id, owners, until)
        SELECT 'ended ' || ${operation} || ' ' || public_id, ${operation}, public_id, owners,
          ${NOW} + ${REMEMBERED_FOR} FROM (
          SELECT public_id, owners FROM gone
          UNION ALL SELECT '', '{}' WHERE NOT EXISTS (SELECT FROM gone)
        ) e WHERE ${operation}::text IS NOT NULL AND NOT EXISTS (SELECT FROM repeated)
        ON CONFLICT DO NOTHING
      )`;

  const endBy = (operation: string, condition: string) => `
      WITH ${ending(operation, condition)}
      SELECT public_id, to_json(owners)::text AS owners FROM gone
      UNION ALL SELECT public_id, to_json(owners)::text FROM repeated`;

  /**
   * The parts of a sign-in that keep an owner's sessions within a limit, all in its one statement.
   *
   * A statement sees the tables as they were when it began, so it misses a sign-in that was committed
   * while it waited for a lock. Each sign-in therefore leaves its name in the owner's row, which it locks
   * first. If the row has another name than the one that the statement sees, `turn` is empty, nothing is
   * applied, and the sign-in is sent again. No session is locked before `turn`, and all of them in one
   * order, so that two calls never wait for each other.
   */
  const within = (
    operation: string,
    publicId: string,
    owner: string,
    limit: string,
    refuses: string,
  ): Within => {
    const key = `'sign-in ' || encode(sha256(convert_to(${owner}, 'UTF8')), 'hex')`;
    const isFull = `(${refuses} AND (SELECT count(*) FROM others) >= ${limit})`;
    return {
      isFull,
      begin: `
      others AS MATERIALIZED (
        SELECT public_id, seen_at FROM ${sessions}
        WHERE owners @> ARRAY[${owner}] AND expires_at > ${NOW}
          AND public_id IS DISTINCT FROM ${publicId}
      ),
      turn AS (
        INSERT INTO ${renewed} AS r (key, public_id, until)
        SELECT ${key}, ${operation}, ${NOW} + ${REMEMBERED_FOR}
        ON CONFLICT (key) DO UPDATE SET public_id = excluded.public_id, until = excluded.until
        WHERE r.public_id = (SELECT public_id FROM ${renewed} WHERE key = ${key})
        RETURNING 1
      ),
      own AS MATERIALIZED (SELECT ${publicId} AS public_id FROM turn),
      due AS MATERIALIZED (
        SELECT public_id FROM others
        WHERE NOT ${refuses} AND EXISTS (SELECT FROM own WHERE public_id IS NOT NULL)
        ORDER BY seen_at, public_id
        LIMIT GREATEST((SELECT count(*) FROM others) + 1 - ${limit}, 0)
      ),`,
      end: (saved) => `,
      ended AS (
        DELETE FROM ${sessions} s USING locked l, due d
        WHERE s.public_id = l.public_id AND l.public_id = d.public_id
          AND l.owners @> ARRAY[${owner}] AND EXISTS (SELECT FROM ${saved})
        RETURNING s.public_id, s.owners
      ),
      remembered AS (
        INSERT INTO ${renewed} (key, operation, public_id, owners, until)
        SELECT 'ended ' || ${operation} || ' ' || public_id, ${operation}, public_id, owners,
          ${NOW} + ${REMEMBERED_FOR} FROM ended
        ON CONFLICT DO NOTHING
      )`,
      ended: `(
        SELECT json_agg(json_build_object('publicId', public_id, 'owners', owners))::text FROM (
          SELECT public_id, owners FROM ended
          UNION ALL SELECT public_id, owners FROM ${renewed}
          WHERE operation = ${operation} AND until > ${NOW}
        ) e)`,
    };
  };

  const create = (limit?: Within) => `
      WITH ${limit?.begin ?? ""}
      clock AS MATERIALIZED (SELECT ${NOW} AS now ${limit ? "FROM turn" : ""}),
      taken AS MATERIALIZED (
        SELECT operations FROM ${sessions}, clock
        WHERE public_id = ${whose} AND expires_at > now
      ),
      created AS (
        INSERT INTO ${sessions} (key, public_id, entries, owners, idle, absolute,
          created_at, started_at, seen_at, operations)
        SELECT $1, $2, $3::jsonb, $4::text[], $5, $6, now, now, now, ARRAY[$7, $1]
        FROM clock WHERE NOT EXISTS (SELECT FROM taken) ${limit ? `AND NOT ${limit.isFull}` : ""}
        RETURNING key
      ),
      answer AS (
        SELECT 'saved' AS status, key FROM created
        UNION ALL SELECT 'saved', operations[array_position(operations, $7) + 1] FROM taken
      )${
        limit === undefined
          ? `
      SELECT status, key FROM answer`
          : `,
      locked AS MATERIALIZED (
        SELECT public_id, owners FROM ${sessions}
        WHERE EXISTS (SELECT FROM created) AND public_id = ANY (ARRAY(SELECT public_id FROM due))
        ORDER BY public_id FOR UPDATE
      )${limit.end("created")}
      SELECT status, key, ${limit.ended} AS ended FROM answer
      UNION ALL SELECT 'full', NULL, NULL FROM clock WHERE NOT EXISTS (SELECT FROM answer)
      UNION ALL SELECT '${OVERTAKEN}', NULL, NULL WHERE NOT EXISTS (SELECT FROM clock)`
      }`;

  // The row is locked first and judged then: what is judged without the lock may be outdated when
  // it is written. The update finds the row as it was locked (PostgreSQL, 13.2.1 Read Committed).
  const commit = (limit?: Within, { found, key, mayWrite } = BY_KEY) => `
      WITH ${limit?.begin ?? ""}
      locked AS MATERIALIZED (
        SELECT * FROM ${sessions} WHERE ${
          limit
            ? "public_id = ANY (ARRAY(SELECT public_id FROM own UNION SELECT public_id FROM due)) ORDER BY public_id"
            : `public_id = ${found ?? whose}`
        } FOR UPDATE
      ),
      clock AS MATERIALIZED (SELECT public_id, ${NOW} AS now FROM locked),
      judged AS MATERIALIZED (
        SELECT s.*, now, array_position(operations, $2) AS repeated,
          CASE
            WHEN $2 = ANY (operations) THEN 'repeated'
            WHEN expires_at <= now OR NOT ${mayWrite} THEN 'gone'
            WHEN s.key <> ${key} AND ($3::text IS NOT NULL OR ${key} <> ALL (old_keys)) THEN 'renewed'
            WHEN EXISTS (
              SELECT FROM jsonb_each_text($4::jsonb) e
              WHERE s.entries ->> e.key IS DISTINCT FROM e.value
            ) THEN CASE WHEN s.key <> ${key} THEN 'renewed' ELSE 'conflict' END
            WHEN s.key = $3 THEN 'taken'
            ${limit ? `WHEN ${limit.isFull} THEN 'full'` : ""}
            ELSE 'saved'
          END AS status
        FROM locked s JOIN clock USING (public_id) ${limit ? "JOIN own USING (public_id)" : ""}
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
          operations = (ARRAY[$2, COALESCE($3, ${key})] || s.operations)[1:${2 * REMEMBERED_OPERATIONS}],
          old_keys = CASE WHEN $3 IS NULL THEN s.old_keys WHEN $13::boolean THEN '{}'
            ELSE (ARRAY[${key}] || s.old_keys)[1:${WRITABLE_OLD_KEYS}] END
        FROM judged WHERE s.public_id = judged.public_id AND status = 'saved'
      ),
      marked AS (
        INSERT INTO ${renewed} (key, public_id, until)
        SELECT ${key}, public_id, now + ${RENEWED_FOR} FROM judged s
        WHERE status = 'saved' AND $3 IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET public_id = excluded.public_id, until = excluded.until
      )${limit?.end("judged WHERE status = 'saved'") ?? ""}
      SELECT
        CASE status WHEN 'repeated' THEN 'saved' ELSE status END AS status,
        CASE status WHEN 'repeated' THEN operations[repeated + 1] ELSE COALESCE($3, ${key}) END AS key,
        (s.key <> ${key} AND $3 IS NULL)::text AS old,
        CASE status WHEN 'conflict' THEN ${RECORD} END AS record
        ${limit ? `, CASE WHEN status IN ('saved', 'repeated') THEN ${limit.ended} END AS ended` : ""}
      FROM judged s ${
        limit
          ? `
      UNION ALL SELECT '${OVERTAKEN}', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM turn)`
          : ""
      }`;

  return {
    load: `
      SELECT 'live' AS status, (${NOW})::text AS now, ${RECORD} AS record
      FROM ${sessions} s
      WHERE s.key = $1 AND s.expires_at > ${NOW}
      UNION ALL
      SELECT 'renewed', NULL, NULL
      FROM ${renewed} r JOIN ${sessions} s USING (public_id)
      WHERE r.key = $1 AND r.until > ${NOW} AND s.expires_at > ${NOW}`,

    create: create(),
    createWithin: create(within("$7::text", "$2::text", "$8::text", "$9::int", "$10::boolean")),
    commit: commit(),
    commitWithin: commit(within("$2::text", whose, "$14::text", "$15::int", "$16::boolean")),

    destroy: endBy("$2", `public_id = ${whose}`),

    list: `
      SELECT ${SOME_OF_RECORD} AS record FROM ${sessions} s
      WHERE owners @> ARRAY[$1::text] AND expires_at > ${NOW}`,

    commitByPublicId: commit(undefined, BY_PUBLIC_ID),

    destroyByPublicId: endBy("$3", "public_id = $2 AND owners @> ARRAY[$1::text]"),

    destroyAll: endBy("$3", "owners @> ARRAY[$1::text] AND public_id IS DISTINCT FROM $2"),

    count: `SELECT count(*)::text AS count FROM ${sessions} WHERE expires_at > (SELECT ${NOW})`,

    page: `
      SELECT public_id, ${SOME_OF_RECORD} AS record FROM ${sessions} s
      WHERE public_id > $1 AND expires_at > (SELECT ${NOW})
      ORDER BY public_id LIMIT ${PAGE_SIZE}`,

    // By public ids, which renewals leave alone. A repeat has not looked beyond where it began.
    destroyPage: `
      WITH clock AS MATERIALIZED (SELECT COALESCE($1, ${NOW}) AS until),
      page AS MATERIALIZED (
        SELECT public_id FROM ${sessions}
        WHERE public_id > $2 AND created_at <= (SELECT until FROM clock)
          AND expires_at > (SELECT ${NOW})
        ORDER BY public_id LIMIT ${PAGE_SIZE}
      ),
      ${ending("$3", "public_id = ANY (ARRAY(SELECT public_id FROM page))")}
      SELECT until::text,
        CASE WHEN EXISTS (SELECT FROM repeated) THEN $2
          WHEN (SELECT count(*) FROM page) = ${PAGE_SIZE} THEN (SELECT max(public_id) FROM page)
        END AS last,
        (SELECT COALESCE(json_agg(json_build_object(
          'public_id', public_id, 'owners', to_json(owners)::text)), '[]')
          FROM (SELECT * FROM gone UNION ALL SELECT * FROM repeated) e)::text AS ended
      FROM clock`,

    endedBy: `
      SELECT public_id, to_json(owners)::text AS owners FROM ${renewed}
      WHERE operation = $1 AND until > ${NOW}`,

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
}
