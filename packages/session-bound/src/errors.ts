import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link BoundError}. Codes don't change between versions; messages may. */
export type BoundErrorCode =
  /** The session is bound to a device, and the request brought no valid bound cookie. Status 401. */
  | "ERR_BOUND_PROOF"
  /** The session is not bound to a device, where that is required. Status 401. */
  | "ERR_BOUND_REQUIRED"
  /** A registration that can't be accepted. Status 400, or 403 if it is well-formed. */
  | "ERR_BOUND_REGISTRATION"
  /** A request of the browser for a refresh that is malformed, or signed by another key. Status 400 or 401. */
  | "ERR_BOUND_REFRESH"
  /** The session was renewed a moment ago: the browser asks again, with its new id. Status 503. */
  | "ERR_BOUND_RENEWED"
  /** An extension that names no listener of this session, or none that can be reached. Status 403 or 503. */
  | "ERR_BOUND_LISTENER"
  /** `requireBound()` without `boundSessions()` before it. */
  | "ERR_BOUND_NO_MIDDLEWARE";

/** A failed operation of this package. Known by its `code`, also between two copies of this package. */
export class BoundError extends CodedError<BoundErrorCode> {
  override readonly name = "BoundError";
}

/** An error that the client sees, as a challenge of RFC 9110, 11.6.1, if its status is 401. */
export function refusal(
  code: BoundErrorCode,
  status: number,
  message: string,
  more: Readonly<Record<string, string>> = {},
): BoundError {
  const headers: Record<string, string> = { "Cache-Control": "no-store", ...more };
  if (status === 401) headers["WWW-Authenticate"] = `Session realm="device", code="${code}"`;
  return new BoundError(code, message, { status, expose: true, headers });
}
