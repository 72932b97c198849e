import { createRequire } from "node:module";
import type * as Sqlite from "node:sqlite";
import { SessionError } from "@lanai/session/store";

const load = createRequire(import.meta.url);

/**
 * Returns Node's own SQLite. It is loaded at the first call: on a Node without it, an import would fail
 * before anything could say which Node is needed.
 *
 * @throws SessionError `ERR_SESSION_STORE_UNAVAILABLE` on such a Node.
 */
export function nodeSqlite(): typeof Sqlite {
  try {
    return load("node:sqlite") as typeof Sqlite;
  } catch (cause) {
    throw new SessionError(
      "ERR_SESSION_STORE_UNAVAILABLE",
      `sqliteStore needs Node 22.13 or later, which brings node:sqlite: this is Node ${process.versions.node}, or node:sqlite is switched off`,
      { status: 503, cause },
    );
  }
}
