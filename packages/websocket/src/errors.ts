import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link WebSocketError}. Codes don't change between versions; messages may. */
export type WebSocketErrorCode =
  /** `ctx.upgrade()` was called in a request that is no WebSocket handshake. Status 426. */
  | "ERR_WEBSOCKET_REQUIRED"
  /** A proxy has dropped the upgrade from a WebSocket handshake. Status 426. */
  | "ERR_WEBSOCKET_UPGRADE_LOST"
  /** The client offers none of the handler's subprotocols. Status 400. */
  | "ERR_WEBSOCKET_PROTOCOL"
  /** The handshake took longer than `handshakeTimeout`; the client received a 503. */
  | "ERR_WEBSOCKET_TIMEOUT"
  /** The client left before the 101. */
  | "ERR_WEBSOCKET_GONE"
  /** `close()` was called: no new WebSockets. Status 503. */
  | "ERR_WEBSOCKET_CLOSING"
  /** The server has `maxSockets` WebSockets. Status 503. */
  | "ERR_WEBSOCKET_LIMIT"
  /** A cookie, a header, a status or a second upgrade after the head has left. */
  | "ERR_WEBSOCKET_UPGRADED"
  /** Given to the callback of `send`: newer messages took the message's place. */
  | "ERR_WEBSOCKET_DROPPED";

/** A failed upgrade or send. Recognised by its `code`, also between two copies of this package. */
export class WebSocketError extends CodedError<WebSocketErrorCode> {
  override readonly name = "WebSocketError";
}
