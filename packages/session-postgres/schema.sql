CREATE TABLE IF NOT EXISTS "lanai_sessions" (
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
ALTER TABLE "lanai_sessions" ADD COLUMN IF NOT EXISTS old_keys text[] COLLATE "C" NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS "lanai_sessions_expires_at" ON "lanai_sessions" (expires_at);
CREATE INDEX IF NOT EXISTS "lanai_sessions_owners" ON "lanai_sessions" USING gin (owners) WITH (fastupdate = off);
CREATE TABLE IF NOT EXISTS "lanai_sessions_renewed" (
  key text COLLATE "C" PRIMARY KEY,
  public_id text COLLATE "C" NOT NULL,
  until double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS "lanai_sessions_renewed_until" ON "lanai_sessions_renewed" (until);
-- What an operation has ended is remembered there, too, under a key of its own.
ALTER TABLE "lanai_sessions_renewed" ADD COLUMN IF NOT EXISTS operation text COLLATE "C";
ALTER TABLE "lanai_sessions_renewed" ADD COLUMN IF NOT EXISTS owners text[] COLLATE "C";
CREATE INDEX IF NOT EXISTS "lanai_sessions_renewed_operation" ON "lanai_sessions_renewed" (operation);
COMMENT ON TABLE "lanai_sessions" IS '@lanai/session-postgres, format 1';
