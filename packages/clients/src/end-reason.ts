/**
 * The reason of a listener's end.
 *
 * - `terminated`: its session, client or user was, or its session has expired.
 * - `disconnected`: by `disconnect`.
 * - `renewed`: its session has a new id: it should come back with that.
 * - `slow`: more messages waited for it than its queue holds.
 * - `limit`: there are too many of its session or client, or it sent more than its limits allow.
 * - `malformed`: it sent what can't be a message.
 * - `unavailable`: the session's store was unreachable for too long; or it has no session, and its end
 *   may have been missed while the bus was unreachable.
 * - `shutdown`: the server stops.
 * - `left`: the browser closed the connection, or it broke.
 * - `failed`: the connection could not be written to.
 */
export type EndReason =
  | "terminated"
  | "disconnected"
  | "renewed"
  | "slow"
  | "limit"
  | "malformed"
  | "unavailable"
  | "shutdown"
  | "left"
  | "failed";

/**
 * The codes with which WebSockets are closed. A client of graphql-ws stops for good at 4400 and 4401,
 * and comes back at 4403, 1012 and 1013; it would come back for ever at 1000, or at a code that it
 * doesn't know.
 */
export const CLOSE_CODES: Readonly<Record<EndReason, number>> = {
  terminated: 4401,
  disconnected: 4401,
  renewed: 4403,
  slow: 1013,
  limit: 1013,
  malformed: 4400,
  unavailable: 1013,
  shutdown: 1012,
  left: 1001,
  failed: 1011,
};

/** Returns whether a browser should reconnect after an end for that reason. */
export const comesBack = (reason: EndReason): boolean =>
  !["terminated", "disconnected", "malformed"].includes(reason);
