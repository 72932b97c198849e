/** The messages of the codes: the cause, and what to do. */
const MESSAGES = {
  /** The session has ended. */
  ERR_SIGNED_OUT: "the session has ended: sign in, and load the page again",
  /** The server refuses this page. */
  ERR_FORBIDDEN:
    "the server refuses this page: check `origins` of attachUpgrade, and the app's own rules",
  /** The server has no live connections at this address. */
  ERR_NOT_FOUND:
    "there is no live address: check the one given to connect, and where channels.middleware() is mounted",
  /** The server is reachable, but neither a WebSocket nor the fallback opens. */
  ERR_NO_WEBSOCKET:
    "the server answers, but no WebSocket opens: let the proxy pass upgrades, or add @lanai/browser/fallback",
  /** The server has been unavailable for ten minutes. */
  ERR_UNAVAILABLE: "the server is unavailable: try again later",
  /** The server can't read this page's frames. */
  ERR_MALFORMED: "the server speaks another version: load the page again",
  /** `close()` or `leave()` was called. */
  ERR_CLOSED: "close() or leave() was called",
  /** The visitor may not join the channel, or has lost the right to be in it. */
  ERR_REFUSED: "this visitor may not be in the channel",
  /** The server declares no such channel or call. */
  ERR_UNKNOWN: "the server declares no such channel, parameters or call",
  /** A limit of the server is reached, such as `maxChannels` or `maxCalls`. */
  ERR_LIMIT: "too many channels or calls at once: see the options of createChannels",
  /** The queue of unsent calls is full. */
  ERR_QUEUE_FULL: "too many calls wait for the connection: see `queue` of connect",
  /** The call is larger than `maxFrame` of the server. */
  ERR_TOO_LARGE: "the call is larger than `maxFrame` of createChannels",
  /** The call was never sent, and so not handled. */
  ERR_TIMEOUT: "the call was not sent in time, and so not handled: call again",
  /** The call was sent, and no result came: it may have been handled, once. */
  ERR_OUTCOME_UNKNOWN: "the call may have been handled, once: look before you call again",
  /** The handler has thrown an error that isn't shown to pages. */
  ERR_CALL_FAILED: "the handler failed: see the server's log",
};

/** A code of the list, or one of the app's own handlers. */
export type LineErrorCode = keyof typeof MESSAGES | (string & {});

/** The error of a line that has ended, of a refused join, or of a failed call. Recognised by `code`. */
export class LineError extends Error {
  override readonly name = "LineError";
  readonly code: LineErrorCode;

  /** @param reason - What the server says, in place of the usual message. */
  constructor(code: LineErrorCode, where: string, reason?: unknown) {
    const text = reason ?? (MESSAGES as Readonly<Record<string, string>>)[code] ?? code;
    super(`${where}: ${text}`);
    this.code = code;
  }
}
