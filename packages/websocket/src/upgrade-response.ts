import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { WebSocketError } from "./errors.ts";

/** Headers that the handshake sets by itself, or that describe content, which a 101 doesn't have. */
const NOT_OF_101 =
  /^(connection|upgrade|keep-alive|transfer-encoding|content-(type|length|encoding)|trailer|date|sec-websocket-.*)$/;

/**
 * The HTTP response to an upgrade request, on the request's socket: a refusal in plain HTTP, or, once
 * upgraded, nothing more.
 */
export class UpgradeResponse extends ServerResponse {
  constructor(request: IncomingMessage, socket: Socket) {
    super(request);
    this.shouldKeepAlive = false;
    this.assignSocket(socket);
    this.on("finish", endConnection);
    // A write after the end or after a reset emits it; without a listener it would end the process.
    this.on("error", ignore);
  }

  /** Sends a refusal instead of what the app has prepared. */
  refuse(status: number, message: string, headers: Readonly<Record<string, string>> = {}): void {
    if (this.headersSent) return;
    for (const name of this.getHeaderNames()) this.removeHeader(name);
    this.statusMessage = "";
    this.writeHead(status, {
      ...headers,
      "Cache-Control": "no-store",
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": Buffer.byteLength(message),
    });
    this.end(message);
  }

  /** Returns the headers that go out with the 101, which no cache may keep. */
  linesOf101(): string[] {
    if (!this.hasHeader("Cache-Control")) this.setHeader("Cache-Control", "no-store");
    return Object.entries(this.getHeaders()).flatMap(([name, value = ""]) =>
      NOT_OF_101.test(name) ? [] : [value].flat().map((it) => `${name}: ${it}`),
    );
  }

  /** From here on the socket is a WebSocket's. */
  leave(): void {
    this.statusCode = 101;
    this.off("finish", endConnection);
    // One prototype for all of them: a property of its own for each method would be kept per socket.
    Object.setPrototypeOf(this, LEFT);
  }

  /**
   * Emits `finish`, after the request's middlewares have settled. The socket then keeps nothing of the
   * response and of what refers to it, unless somebody waits for its `close`.
   */
  letGo(): void {
    this.emit("finish");
    if (this.listenerCount("close") === 0 && this.socket) this.detachSocket(this.socket);
  }
}

function endConnection(this: ServerResponse): void {
  this.socket?.destroySoon();
}

/** Listens for errors that another listener handles, or that concern nobody any more. */
export function ignore(): void {}

function refuseToSend(): never {
  throw tooLate("a header, a cookie or a body");
}

/** The form of an {@link UpgradeResponse} after its head has left as a 101. */
const LEFT: UpgradeResponse = Object.create(UpgradeResponse.prototype, {
  headersSent: { value: true },
  setHeader: { value: refuseToSend },
  appendHeader: { value: refuseToSend },
  writeHead: { value: refuseToSend },
  write: { value: refuseToSend },
  end: { value: refuseToSend },
});

export const tooLate = (what: string): WebSocketError =>
  new WebSocketError(
    "ERR_WEBSOCKET_UPGRADED",
    `${what} can't be sent after the 101: set it before ctx.upgrade()`,
  );
