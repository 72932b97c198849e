import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link SessionError}. Codes don't change between versions; messages may. */
export type SessionErrorCode =
  /** The store failed or took longer than `storeTimeout`. Status 503; `cause` says why. */
  | "ERR_SESSION_STORE_UNAVAILABLE"
  /** An `update` met 16 conflicts in a row. Status 503. */
  | "ERR_SESSION_CONFLICT"
  /** An explicit `commit`, or an `update`, on a session that was destroyed or has expired. Status 401. */
  | "ERR_SESSION_GONE"
  /**
   * An explicit `commit`, `update` or `destroy` by an id that another request has renewed, which can't
   * be carried out. Status 409: the client sends the request again, with the new id.
   */
  | "ERR_SESSION_RENEWED"
  /** A write after the response head has left. */
  | "ERR_SESSION_SENT"
  /** The session was used before `load()`, with `load: 'lazy'`. */
  | "ERR_SESSION_NOT_LOADED"
  /** A session that doesn't fit where it is kept. */
  | "ERR_SESSION_TOO_LARGE"
  /** The stored value is not in the format of this package. */
  | "ERR_SESSION_DECODE"
  /** `requireSession`, or a strict tracker, refused the request. Status 401. */
  | "ERR_SESSION_REQUIRED"
  /** `requireSession`: the sign-in is too old or lacks a method. Status 401. */
  | "ERR_SESSION_INSUFFICIENT"
  /**
   * `requireSession({ impersonated: false })` refused a request, or a call is refused, because somebody acts
   * for the user. Status 403.
   */
  | "ERR_SESSION_IMPERSONATED"
  /** `devicesPage`: a POST came from another site. Status 403. */
  | "ERR_SESSION_OTHER_SITE"
  /** No session middleware has run for this request. */
  | "ERR_SESSION_NO_MIDDLEWARE"
  /** Two managers want the same `property` of one request. */
  | "ERR_SESSION_PROPERTY_TAKEN"
  /** `create` on a key that is in use. */
  | "ERR_SESSION_KEY_TAKEN"
  /** The store can't find sessions by owner. */
  | "ERR_SESSION_NOT_INDEXED"
  /** The store can't go through all of its sessions. */
  | "ERR_SESSION_NOT_PAGED"
  /** The user has as many sessions as `maxSessionsPerUser` allows. Status 409. */
  | "ERR_SESSION_LIMIT";

/** A failed operation of a session. Recognise it by its `code`, also between two copies of this package. */
export class SessionError extends CodedError<SessionErrorCode> {
  override readonly name = "SessionError";
}

/** Returns the error of a store that refuses one more session of an owner (`limitOwner`). */
export function sessionLimitError(limit: number): SessionError {
  return new SessionError(
    "ERR_SESSION_LIMIT",
    `the user has ${limit} sessions, as many as are allowed: end one of them first`,
    { status: 409, expose: true },
  );
}
