import { SessionError, type SessionErrorCode } from "../errors.ts";
import type { Refusal, Tracker } from "../tracker.ts";
import type { Demand } from "./sign-in-methods.ts";

/** The 401 of a request without a session, or whose token was refused (RFC 9110, 15.5.2). */
export function requiredError(
  message: string,
  property: string,
  { challenge = "Session" }: Tracker,
  refusal: Refusal | undefined,
): SessionError {
  const code = "ERR_SESSION_REQUIRED";
  const reason = refusal && (refusal.shown ?? refusal.reason);
  const parameters = [`realm="${property}"`, `code="${code}"`];
  if (reason !== undefined) parameters.push(`reason="${reason}"`);
  // RFC 6750, 3.1: if a client brought a Bearer token, the response says that the token was
  // refused.
  if (reason !== undefined && challenge === "Bearer") parameters.push('error="invalid_token"');
  return unauthorized(code, message, challenge, parameters);
}

/** The 401 of a user whose sign-in is too old or lacks a method (RFC 9470, 3). */
export function insufficientError(
  property: string,
  { challenge = "Session" }: Tracker,
  { within, methods }: Demand,
): SessionError {
  const code = "ERR_SESSION_INSUFFICIENT";
  const parameters = [
    `realm="${property}"`,
    `code="${code}"`,
    'error="insufficient_user_authentication"',
  ];
  if (methods?.length) parameters.push(`methods="${methods.join(" ")}"`);
  if (within !== undefined) parameters.push(`max_age=${Math.floor(within / 1000)}`);
  return unauthorized(code, "sign in again", challenge, parameters);
}

function unauthorized(
  code: SessionErrorCode,
  message: string,
  challenge: string,
  parameters: readonly string[],
): SessionError {
  return new SessionError(code, message, {
    status: 401,
    expose: true,
    headers: {
      "WWW-Authenticate": `${challenge} ${parameters.join(", ")}`,
      "Cache-Control": "no-store",
    },
  });
}
