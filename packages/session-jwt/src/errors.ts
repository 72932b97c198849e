export type JwtErrorCode =
  /** The app's function for the keys failed or was too slow, or answered what can't be. Status 503. */
  | "ERR_JWT_KEYS_UNAVAILABLE"
  /** A token is to be bound to a client, and none is known. */
  | "ERR_JWT_NO_CLIENT";

export interface JwtErrorOptions extends ErrorOptions {
  /** HTTP status that Koa answers with. Default: 500. */
  status?: number;
  /** Response headers that Koa sends with the error. */
  headers?: Record<string, string>;
}

/** A failed operation of this package, known by its `code`. What clients send is never an error. */
export class JwtError extends Error {
  readonly code: JwtErrorCode;
  readonly status: number;
  readonly expose = false;
  declare readonly headers?: Record<string, string>;

  constructor(code: JwtErrorCode, message: string, options: JwtErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "JwtError";
    this.code = code;
    this.status = options.status ?? 500;
    if (options.headers) this.headers = options.headers;
  }
}
