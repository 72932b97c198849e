export type WebSocketErrorCode =
  /** `ctx.upgrade()` in a request that asks for no WebSocket. Status 426. */
  | "ERR_WEBSOCKET_REQUIRED"
  /** The client offers none of the handler's subprotocols. Status 400. */
  | "ERR_WEBSOCKET_PROTOCOL"
  /** The handshake took longer than `handshakeTimeout`; the client was answered 503. */
  | "ERR_WEBSOCKET_TIMEOUT"
  /** The client left before the 101. */
  | "ERR_WEBSOCKET_GONE"
  /** `close()` was called: no new WebSockets. Status 503. */
  | "ERR_WEBSOCKET_CLOSING"
  /** A cookie, a header, a status or a second upgrade after the head has left. */
  | "ERR_WEBSOCKET_UPGRADED"
  /** Given to the callback of `send`: newer messages took the message's place. */
  | "ERR_WEBSOCKET_DROPPED";

export interface WebSocketErrorOptions extends ErrorOptions {
  /** HTTP status that Koa answers with. Default: 500. */
  readonly status?: number;
  /** Whether the message may be shown to the client. Default: false. */
  readonly expose?: boolean;
  /** Response headers that Koa sends with the error. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A failed upgrade or send. Known by its `code`, also between two copies of this package. */
export class WebSocketError extends Error {
  readonly code: WebSocketErrorCode;
  readonly status: number;
  readonly expose: boolean;
  declare readonly headers?: Readonly<Record<string, string>>;

  constructor(code: WebSocketErrorCode, message: string, options: WebSocketErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "WebSocketError";
    this.code = code;
    this.status = options.status ?? 500;
    this.expose = options.expose ?? false;
    if (options.headers) this.headers = options.headers;
  }
}
