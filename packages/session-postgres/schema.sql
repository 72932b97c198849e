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
  operations text[] COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS "lanai_sessions_expires_at" ON "lanai_sessions" (expires_at);
CREATE INDEX IF NOT EXISTS "lanai_sessions_owners" ON "lanai_sessions" USING gin (owners) WITH (fastupdate = off);
CREATE TABLE IF NOT EXISTS "lanai_sessions_renewed" (
  key text COLLATE "C" PRIMARY KEY,
  public_id text COLLATE "C" NOT NULL,
  until double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS "lanai_sessions_renewed_until" ON "lanai_sessions_renewed" (until);
