import { SessionError } from "./errors.ts";
import type { RefusalTerms, Tracker } from "./tracker.ts";

/** Why what a request brought is no session. */
export interface Refusal extends RefusalTerms {
  readonly reason: string;
}

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
  // RFC 6750, 3.1: a client that brought a Bearer token is told that it was the token.
  if (reason !== undefined && challenge === "Bearer") parameters.push('error="invalid_token"');
  return new SessionError(code, message, {
    status: 401,
    expose: true,
    headers: {
      "WWW-Authenticate": `${challenge} ${parameters.join(", ")}`,
      "Cache-Control": "no-store",
    },
  });
}
