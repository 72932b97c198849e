import { SessionError } from "../errors.ts";

export function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

export function goneError(): SessionError {
  return new SessionError(
    "ERR_SESSION_GONE",
    "the session was ended or has expired, and nothing was stored: sign in again",
    { status: 401, expose: true },
  );
}

export function renewedError(): SessionError {
  return new SessionError(
    "ERR_SESSION_RENEWED",
    "the session's id was renewed by another request, and this one was not carried out: send it " +
      "again with the new id",
    { status: 409, expose: true },
  );
}

export function sentError(): SessionError {
  return new SessionError(
    "ERR_SESSION_SENT",
    "the response head has left, so the session can't be written: set before answering, " +
      "await session.commit() before you write to ctx.res, or use await sessions.open(id)",
  );
}

export function notLoadedError(property: string): SessionError {
  return new SessionError(
    "ERR_SESSION_NOT_LOADED",
    `the session is lazy: await ctx.${property}.load() first, or mount sessions.preload()`,
  );
}
