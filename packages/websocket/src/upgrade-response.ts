import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { WebSocketError } from "./errors.ts";

/** Of a 101 these are the handshake's own, or it has no content to describe. */
const NOT_OF_101 =
  /^(connection|upgrade|keep-alive|transfer-encoding|content-(type|length|encoding)|trailer|date|sec-websocket-.*)$/;

/**
 * The HTTP response to an upgrade request, on the request's socket: what refuses it, or, once
 * upgraded, nothing more.
 */
export class UpgradeResponse extends ServerResponse {
  constructor(request: IncomingMessage, socket: Socket) {
    super(request);
    this.shouldKeepAlive = false;
    this.assignSocket(socket);
    this.once("finish", () => socket.destroySoon());
  }

  /** Answers instead of the app, whatever that has prepared. */
  refuse(status: number, message: string, headers: Readonly<Record<string, string>> = {}): void {
    if (this.headersSent) return;
    for (const name of this.getHeaderNames()) this.removeHeader(name);
    this.statusMessage = "";
    this.writeHead(status, {
      ...headers,
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": Buffer.byteLength(message),
    });
    this.end(message);
  }

  /** The headers that go out with the 101. */
  linesOf101(): string[] {
    return Object.entries(this.getHeaders()).flatMap(([name, value = ""]) =>
      NOT_OF_101.test(name) ? [] : [value].flat().map((it) => `${name}: ${it}`),
    );
  }

  /** From here on the socket is a WebSocket's. */
  leave(): void {
    this.statusCode = 101;
    Object.defineProperty(this, "headersSent", { value: true });
    const refuse = () => {
      throw tooLate("a header, a cookie or a body");
    };
    this.setHeader = refuse;
    this.appendHeader = refuse;
    this.writeHead = refuse;
    this.write = refuse;
    this.end = refuse;
  }
}

export const tooLate = (what: string): WebSocketError =>
  new WebSocketError(
    "ERR_WEBSOCKET_UPGRADED",
    `${what} can't be sent after the 101: set it before ctx.upgrade()`,
  );
