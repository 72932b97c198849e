import { within } from "@lanai/connection/deadline";
import { MAX_TIMER } from "@lanai/connection/options";
import { isOfReplica, leavesTheConnection } from "./failure.ts";
import type { PostgresClient, PostgresPool, Query } from "./options.ts";

/**
 * A server can end a connection in the packet that makes it ready: pg then emits `error` before whoever
 * waits for the connection has it, and without a listener that ends the process.
 */
export function survive(client: PostgresClient): void {
  // Several stores on one pool need one listener.
  if (surviving.has(client)) return;
  surviving.add(client);
  client.on("error", ignore);
  setImmediate(() => client.off("error", ignore));
}

const surviving = new WeakSet<PostgresClient>();

export async function queryBy(pool: PostgresPool, query: Query): Promise<unknown[]> {
  for (;;) {
    const client = await pool.connect();
    const isNew = !used.has(client);
    used.add(client);
    // Without a listener a connection that breaks would end the process; the query fails besides.
    client.on("error", ignore);
    let broken = true;
    try {
      const { rows } = await sendQuery(client, query);
      broken = false;
      return rows;
    } catch (error) {
      broken = !leavesTheConnection(error);
      // Nothing was applied, and a new connection may lead to the new primary. Each attempt drops one.
      if (isNew || !isOfReplica(error)) throw error;
    } finally {
      client.off("error", ignore);
      client.release(broken);
    }
  }
}

/**
 * Takes the place of pg's own timer for `query_timeout`: when a process has stood still, that one is due
 * before an answer is read that has arrived meanwhile.
 */
function sendQuery(client: PostgresClient, query: Query): Promise<{ rows: unknown[] }> {
  const timeout = Number(client.connectionParameters?.query_timeout);
  if (!(timeout > 0)) return client.query(query);
  const answer = client.query({ ...query, query_timeout: MAX_TIMER });
  return within(timeout, answer, () => {
    throw new Error(`no answer within ${timeout} ms, the pool's query_timeout`);
  });
}

/** Connections that have carried out a statement, or tried to. */
const used = new WeakSet<PostgresClient>();

/** Handles pg's report of an idle connection that broke: the pool has dropped it already. */
export const ignore = (): void => {};
