import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { followSocket, leaveHead } from "@lanai/connection";
import { after, type Cancel } from "@lanai/connection/deadline";
import { queueOf } from "@lanai/connection/queue";
import { RequestTrace } from "@lanai/connection/request-trace";
import type { ExtendableContext } from "koa";
import type { Server } from "ws";
import { WebSocketError } from "./errors.ts";
import { events } from "./events.ts";
import { chooseProtocol } from "./handshake-request.ts";
import { type UpgradeOptions, validateUpgrade } from "./options.ts";
import { ignore, tooLate, type UpgradeResponse } from "./upgrade-response.ts";
import type { SocketLimits, UpgradedSocket } from "./upgraded-socket.ts";

/** The settings that the handshakes of one server share. */
export interface HandshakeSettings {
  readonly webSockets: Server<typeof UpgradedSocket>;
  readonly handshakeTimeout: number;
  readonly limits: SocketLimits;
  /** Whether there is room for one more socket. */
  readonly hasRoom: () => boolean;
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
  readonly #cancelTimeout: Cancel;
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
    this.#cancelTimeout = after(settings.handshakeTimeout, () => {
      this.#timedOut = true;
      response.refuse(503, "The handshake took too long.", { "Retry-After": "5" });
    });
    response.once("close", this.#cancelTimeout);
    handshakes.set(request, this);
  }

  async accept(ctx: ExtendableContext, options: UpgradeOptions): Promise<UpgradedSocket> {
    validateUpgrade(options);
    this.protocol = chooseProtocol(this.#request, options.protocols);
    this.#mustBeOpen();
    await leaveHead(ctx);
    this.#mustBeOpen();
    const { webSockets, opened } = this.#settings;
    webSockets.handleUpgrade(this.#request, this.#socket, this.#head, (socket) => {
      this.#made = socket;
    });
    const made = this.#made;
    if (made === undefined) throw gone();
    // From here on it listens by itself.
    this.#socket.off("error", ignore);
    this.#cancelTimeout();
    this.response.off("close", this.#cancelTimeout);
    made.begin(this.#limitsFor(options), RequestTrace.of(ctx));
    takeOver(ctx, made);
    this.response.leave();
    opened(made);
    return made;
  }

  /** Returns one object for all sockets without options of their own. */
  #limitsFor(options: UpgradeOptions): SocketLimits {
    const { limits } = this.#settings;
    if (options.queue === undefined && options.rate === undefined) return limits;
    const queue = queueOf(options.queue, limits.queue);
    return { ...limits, queue, rate: { ...limits.rate, ...options.rate } };
  }

  /** Called when the request's middlewares have settled. */
  end(): void {
    if (this.#made === undefined) return;
    this.#made.release();
    this.response.letGo();
  }

  #mustBeOpen(): void {
    if (this.#timedOut) {
      throw unavailable("ERR_WEBSOCKET_TIMEOUT", "The handshake took too long.");
    }
    if (this.response.headersSent) throw tooLate("a second response");
    if (!this.#socket.readable || !this.#socket.writable) throw gone();
    if (!this.#settings.hasRoom()) {
      reportFull();
      throw unavailable("ERR_WEBSOCKET_LIMIT", "This server has as many connections as it takes.");
    }
    if (this.#settings.isClosing()) {
      throw unavailable("ERR_WEBSOCKET_CLOSING", "This server is about to restart.");
    }
  }
}

/** Reports that a WebSocket was refused for `maxSockets`. */
export function reportFull(): void {
  const message = "A WebSocket was refused: the server has maxSockets of them.";
  events.report("full", "full", { level: "warn", message });
}

const unavailable = (
  code: "ERR_WEBSOCKET_TIMEOUT" | "ERR_WEBSOCKET_CLOSING" | "ERR_WEBSOCKET_LIMIT",
  message: string,
): WebSocketError => new WebSocketError(code, message, { status: 503, expose: true });

/** Exposed, so that Koa doesn't print it: it is no failure of the app. */
const gone = (): WebSocketError =>
  new WebSocketError("ERR_WEBSOCKET_GONE", "The client left before the 101.", { expose: true });

const STATUS_101: PropertyDescriptor = {
  get: () => 101,
  set() {
    throw tooLate("a status");
  },
};

/** Makes the request's context live as long as the socket, and respond nothing more. */
function takeOver(ctx: ExtendableContext, socket: UpgradedSocket): void {
  followSocket(ctx, socket);
  ctx.respond = false;
  Object.defineProperty(ctx.response, "status", STATUS_101);
  const report = ctx.onerror;
  ctx.onerror = (error) => {
    // Koa takes a lost connection for a failure of the app.
    if (error == null || error === ctx.req.socket.errored) return;
    socket.close(1011, "failed");
    report.call(ctx, error);
  };
}
