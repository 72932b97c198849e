/** SQLSTATE, as pg's errors carry it (PostgreSQL, Appendix A). */
export const UNIQUE_VIOLATION = "23505";
const SERIALIZATION_FAILURE = "40001";
const DEADLOCK_DETECTED = "40P01";
const READ_ONLY_TRANSACTION = "25006";
const INSUFFICIENT_PRIVILEGE = "42501";
const UNDEFINED_TABLE = "42P01";
const UNDEFINED_COLUMN = "42703";

export const codeOf = (error: unknown): unknown => (error as { code?: unknown } | undefined)?.code;

/** Nothing was applied, and the same again may succeed. */
export const mayBeTriedAgain = (error: unknown): boolean =>
  codeOf(error) === SERIALIZATION_FAILURE || codeOf(error) === DEADLOCK_DETECTED;

/** A sign-in that came beside another of the same user, and has applied nothing. */
export const overtaken = (): Error =>
  Object.assign(new Error("sign-ins of one user overtake each other"), {
    code: SERIALIZATION_FAILURE,
  });

/** Whether a server refused a write because a failover has made it a replica, or because it only reads. */
export const isOfReplica = (error: unknown): boolean => codeOf(error) === READ_ONLY_TRANSACTION;

/**
 * Whether the server refused one statement, and the connection is as good as before. One to a server that
 * a failover has made a replica isn't: the next may lead to the new primary.
 */
export const leavesTheConnection = (error: unknown): boolean =>
  (error as { severity?: unknown } | undefined)?.severity === "ERROR" && !isOfReplica(error);

function adviceFor(code: unknown): string {
  switch (code) {
    case UNDEFINED_TABLE:
      return ": call `await store.migrate()` before the app listens, or run the SQL of `store.schema`";
    case UNDEFINED_COLUMN:
      return ": the table is another program's; give the store one of its own by its option `table`";
    case INSUFFICIENT_PRIVILEGE:
      return (
        ": the role of the pool needs SELECT, INSERT, UPDATE and DELETE on the store's two tables;" +
        " only migrate() needs to create them"
      );
    default:
      return "";
  }
}

/**
 * Returns an error for a `cause`, with message and code alone. pg's own error also carries the
 * values of the row (`detail`), and a connection's carries addresses.
 */
export function failure(error: unknown): Error {
  const code = codeOf(error);
  const message =
    error instanceof Error && error.message !== "" ? error.message : "PostgreSQL failed";
  return Object.assign(
    new Error(`postgresStore: ${message}${adviceFor(code)}`),
    typeof code === "string" && { code },
  );
}
