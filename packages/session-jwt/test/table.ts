import type { JwtRefusal, refusals } from "@lanai/session-jwt";

/** The README's table of what a request may bring, written out once more. */
export const TABLE = {
  malformed: { shown: "invalid", level: "info", closeCode: 4401 },
  ambiguous: { shown: "invalid", level: "info", closeCode: 4401 },
  header: { shown: "invalid", level: "warn", closeCode: 4401 },
  "unknown-key": { shown: "invalid", level: "info", closeCode: 4401 },
  algorithm: { shown: "invalid", level: "warn", closeCode: 4401 },
  signature: { shown: "invalid", level: "warn", closeCode: 4401 },
  claims: { shown: "invalid", level: "warn", closeCode: 4401 },
  issuer: { shown: "invalid", level: "warn", closeCode: 4401 },
  audience: { shown: "invalid", level: "warn", closeCode: 4401 },
  client: { shown: "invalid", level: "warn", closeCode: 4401 },
  ahead: { shown: "invalid", level: "error", closeCode: 4401 },
  inactive: { shown: "inactive", level: "warn", closeCode: 4403 },
  expired: { shown: "expired", level: "info", closeCode: 4401 },
  ended: { shown: "unknown", level: "info", closeCode: 4401 },
  reused: { shown: "unknown", level: "error", closeCode: 4401 },
} as const satisfies typeof refusals;

/** Over HTTP: a 401 that says no more than the table lets it. */
export const refusedAs = (reason: JwtRefusal) => ({
  status: 401,
  user: undefined,
  token: undefined,
  challenge: `Session realm="session", code="ERR_SESSION_REQUIRED", reason="${TABLE[reason].shown}"`,
});

/** Over HTTP, where nobody demands a session: as if the request had brought nothing. */
export const ANONYMOUS = { status: 200, user: "nobody", token: undefined, challenge: undefined };
