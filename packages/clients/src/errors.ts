export type ClientsErrorCode =
  /** A live connection without a client cookie, where one is asked for. Status 401. */
  | "ERR_CLIENTS_UNKNOWN_CLIENT"
  /** `devices(ctx)` of a visitor who isn't signed in. Status 401. */
  | "ERR_CLIENTS_NOT_SIGNED_IN"
  /** The request is neither an upgrade nor can it be an event stream. */
  | "ERR_CLIENTS_NO_TRANSPORT"
  /** A message that can't be encoded as JSON. */
  | "ERR_CLIENTS_ENCODE"
  /** A call after `close`. Status 503. */
  | "ERR_CLIENTS_CLOSED";

export interface ClientsErrorOptions extends ErrorOptions {
  /** HTTP status that Koa answers with. Default: 500. */
  readonly status?: number;
  /** Response headers that Koa sends with the error. */
  readonly headers?: Record<string, string>;
}

/** A failed operation of clients. Known by its `code`, also between two copies of this package. */
export class ClientsError extends Error {
  readonly code: ClientsErrorCode;
  readonly status: number;
  /** Whether the message may be shown to the client. */
  readonly expose: boolean;
  declare readonly headers?: Record<string, string>;

  constructor(code: ClientsErrorCode, message: string, options: ClientsErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "ClientsError";
    this.code = code;
    this.status = options.status ?? 500;
    this.expose = this.status === 401;
    if (options.headers) this.headers = options.headers;
  }
}
