export type SessionErrorCode =
  /** The store failed or took longer than `storeTimeout`. Status 503; `cause` says why. */
  | "ERR_SESSION_STORE_UNAVAILABLE"
  /** An `update` met 16 conflicts in a row. Status 503. */
  | "ERR_SESSION_CONFLICT"
  /** An explicit `commit`, or an `update`, on a session that was destroyed or has expired. Status 401. */
  | "ERR_SESSION_GONE"
  /** A write after the response head has left. */
  | "ERR_SESSION_SENT"
  /** With `load: 'lazy'`: the session was used before `load()`. */
  | "ERR_SESSION_NOT_LOADED"
  /** A session that doesn't fit where it is kept. */
  | "ERR_SESSION_TOO_LARGE"
  /** A stored value is not in the format of this package. */
  | "ERR_SESSION_DECODE"
  /** `requireSession`, or a strict tracker, refused the request. Status 401. */
  | "ERR_SESSION_REQUIRED"
  /** No session middleware has run for this request. */
  | "ERR_SESSION_NO_MIDDLEWARE"
  /** Two managers want the same `property` of one request. */
  | "ERR_SESSION_PROPERTY_TAKEN"
  /** `create` on a key that is in use. */
  | "ERR_SESSION_KEY_TAKEN"
  /** The store can't find sessions by owner. */
  | "ERR_SESSION_NOT_INDEXED";

export interface SessionErrorOptions extends ErrorOptions {
  /** HTTP status that Koa answers with. Default: 500. */
  status?: number;
  /** Whether the message may be shown to the client. Default: false. */
  expose?: boolean;
  /** Response headers that Koa sends with the error. */
  headers?: Record<string, string>;
}

/** A failed operation of a session. Known by its `code`, also between two copies of this package. */
export class SessionError extends Error {
  readonly code: SessionErrorCode;
  readonly status: number;
  readonly expose: boolean;
  declare readonly headers?: Record<string, string>;

  constructor(code: SessionErrorCode, message: string, options: SessionErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "SessionError";
    this.code = code;
    this.status = options.status ?? 500;
    this.expose = options.expose ?? false;
    if (options.headers) this.headers = options.headers;
  }
}
