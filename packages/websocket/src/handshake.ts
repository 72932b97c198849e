import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { followSocket, leaveHead } from "@lanai/connection";
import type { ExtendableContext } from "koa";
import type { Server } from "ws";
import { WebSocketError } from "./errors.ts";
import { chooseProtocol } from "./handshake-request.ts";
import { type UpgradeOptions, validateUpgrade } from "./options.ts";
import { tooLate, type UpgradeResponse } from "./upgrade-response.ts";
import type { Limits, UpgradedSocket } from "./upgraded-socket.ts";

/** What the handshakes of one server share. */
export interface HandshakeSettings {
  readonly webSockets: Server<typeof UpgradedSocket>;
  readonly handshakeTimeout: number;
  readonly pingInterval: number;
  readonly limits: Limits;
  readonly isClosing: () => boolean;
  readonly opened: (socket: UpgradedSocket) => void;
}

const handshakes = new WeakMap<IncomingMessage, Handshake>();

/** A WebSocket request, from its arrival to the 101 or to another answer. */
export class Handshake {
  readonly response: UpgradeResponse;
  /** The subprotocol that was chosen. */
  protocol: string | undefined;

  readonly #request: IncomingMessage;
  readonly #socket: Socket;
  readonly #head: Buffer;
  readonly #settings: HandshakeSettings;
  readonly #timer: NodeJS.Timeout;
  #timedOut = false;
  #made: UpgradedSocket | undefined;

  static of(request: IncomingMessage): Handshake | undefined {
    return handshakes.get(request);
  }

  constructor(
    request: IncomingMessage,
    response: UpgradeResponse,
    socket: Socket,
    head: Buffer,
    settings: HandshakeSettings,
  ) {
    this.#request = request;
    this.response = response;
    this.#socket = socket;
    this.#head = head;
    this.#settings = settings;
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      response.refuse(503, "The handshake took too long.", { "Retry-After": "5" });
    }, settings.handshakeTimeout);
    response.once("close", () => clearTimeout(this.#timer));
    handshakes.set(request, this);
  }

  async accept(ctx: ExtendableContext, options: UpgradeOptions): Promise<UpgradedSocket> {
    validateUpgrade(options);
    this.protocol = chooseProtocol(this.#request, options.protocols);
    this.#mustBeOpen();
    await leaveHead(ctx);
    this.#mustBeOpen();
    const { webSockets, limits, pingInterval, opened } = this.#settings;
    webSockets.handleUpgrade(this.#request, this.#socket, this.#head, (socket) => {
      this.#made = socket;
    });
    const made = this.#made;
    if (made === undefined) throw gone();
    clearTimeout(this.#timer);
    const { maxBuffered = limits.maxBuffered, overflow = limits.overflow } = options;
    made.begin({ ...limits, maxBuffered, overflow }, (error) => ctx.onerror(error as Error));
    takeOver(ctx, made);
    this.response.leave();
    if (pingInterval !== Infinity) watch(made, pingInterval);
    opened(made);
    return made;
  }

  /** The request's middlewares are done. */
  end(): void {
    this.#made?.release();
  }

  #mustBeOpen(): void {
    if (this.#timedOut) {
      throw unavailable("ERR_WEBSOCKET_TIMEOUT", "The handshake took too long.");
    }
    if (this.response.headersSent) throw tooLate("a second response");
    if (!this.#socket.readable || !this.#socket.writable) throw gone();
    if (this.#settings.isClosing()) {
      throw unavailable("ERR_WEBSOCKET_CLOSING", "This server is about to restart.");
    }
  }
}

const unavailable = (
  code: "ERR_WEBSOCKET_TIMEOUT" | "ERR_WEBSOCKET_CLOSING",
  message: string,
): WebSocketError => new WebSocketError(code, message, { status: 503, expose: true });

/** Exposed, so that Koa doesn't print it: it is no failure of the app. */
const gone = (): WebSocketError =>
  new WebSocketError("ERR_WEBSOCKET_GONE", "The client left before the 101.", { expose: true });

/** The request's context goes on for the socket's life, and answers nothing more. */
function takeOver(ctx: ExtendableContext, socket: UpgradedSocket): void {
  followSocket(ctx, socket);
  ctx.respond = false;
  Object.defineProperty(ctx.response, "status", {
    get: () => 101,
    set() {
      throw tooLate("a status");
    },
  });
  const report = ctx.onerror;
  ctx.onerror = (error) => {
    // Koa takes a lost connection for a failure of the app.
    if (error == null || error === ctx.req.socket.errored) return;
    socket.close(1011, "failed");
    report.call(ctx, error);
  };
}

/** Cuts the connection of a client that doesn't answer: nobody else says that it has gone. */
function watch(socket: UpgradedSocket, interval: number): void {
  let answered = true;
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }, interval);
  socket.on("pong", () => {
    answered = true;
  });
  socket.once("close", () => clearInterval(timer));
}
