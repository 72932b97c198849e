/** Details of an error that a response may carry, besides its code and message. */
export interface ErrorDetails extends ErrorOptions {
  /** HTTP status of the response that Koa sends. Default: 500. */
  readonly status?: number;
  /** Whether the message may be shown to the client. Default: false. */
  readonly expose?: boolean;
  /** Response headers that Koa sends with the error. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Base of the error class of each package, which adds its name:
 *
 * ```ts
 * export class FlashError extends CodedError<FlashErrorCode> {
 *   override readonly name = "FlashError";
 * }
 * ```
 *
 * Errors are recognised by `code`, never by `instanceof`: a tree may hold two copies of a package.
 */
export class CodedError<Code extends string> extends Error {
  readonly code: Code;
  /** HTTP status of the response that Koa sends. */
  readonly status: number;
  /** Whether the message may be shown to the client. */
  readonly expose: boolean;
  declare readonly headers?: Readonly<Record<string, string>>;

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.status = details.status ?? 500;
    this.expose = details.expose ?? false;
    if (details.headers) this.headers = details.headers;
  }
}
