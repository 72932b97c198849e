import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { ExtendableContext } from "koa";
import { type Server, WebSocketServer } from "ws";
import { WebSocketError } from "./errors.ts";
import { Handshake, type HandshakeSettings } from "./handshake.ts";
import { hasBody, isWebSocket, problemOf } from "./handshake-request.ts";
import { type AttachUpgradeOptions, originOf, type UpgradeOptions, validate } from "./options.ts";
import { UpgradeResponse } from "./upgrade-response.ts";
import { UpgradedSocket } from "./upgraded-socket.ts";

export type UpgradableServer = HttpServer | HttpsServer | Http2SecureServer;

/** The part of a Koa app that this package needs. */
export interface UpgradableApp {
  readonly context: object;
  callback(): (request: IncomingMessage, response: ServerResponse) => unknown;
  createContext(
    request: IncomingMessage,
    response: ServerResponse,
  ): { readonly protocol: string; readonly host: string };
  emit(event: "error", error: unknown): boolean;
}

declare module "koa" {
  interface ExtendableContext {
    /**
     * Makes the request's connection a WebSocket, where {@link attachUpgrade} was called: runs what
     * must happen before the head leaves (a session's save), and sends the response's cookies and
     * headers with the 101.
     *
     * @throws WebSocketError `ERR_WEBSOCKET_REQUIRED` (426) in a request that asks for none.
     */
    upgrade(options?: UpgradeOptions): Promise<UpgradedSocket>;
  }
}

/** The WebSockets of a server. */
export interface Upgrades {
  /** Those that are open or closing. */
  readonly sockets: ReadonlySet<UpgradedSocket>;
  /**
   * Refuses new ones (503) and closes all with 1012, which asks the clients to come back; resolves
   * when they are gone.
   *
   * @param options - `over`: each is closed at a random moment within so many milliseconds, so that
   *   not all come back at once. Default: 0.
   */
  close(options?: { readonly over?: number }): Promise<void>;
}

/**
 * Lets a server's WebSocket requests run the app: its global, group and route middlewares, of which
 * one calls `ctx.upgrade()`. Whatever else they answer is plain HTTP.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function attachUpgrade(
  server: UpgradableServer,
  app: UpgradableApp,
  options: AttachUpgradeOptions = {},
): Upgrades {
  validate(options);
  const { match, handshakeTimeout = 10_000, pingInterval = 25_000 } = options;
  const { maxPayload = MIB, maxBuffered = MIB, overflow = "close", closeTimeout = 1_000 } = options;

  const origins = Array.isArray(options.origins) ? [...options.origins] : options.origins;
  const sockets = new Set<UpgradedSocket>();
  let closing = false;
  const settings: HandshakeSettings = {
    webSockets: webSocketServer(maxPayload, closeTimeout),
    handshakeTimeout,
    pingInterval,
    limits: { maxBuffered, overflow, maxEarly: maxPayload },
    isClosing: () => closing,
    opened(socket) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    },
  };

  // Not before there is a request: Koa then looks whether the app listens for errors.
  let callback: ReturnType<UpgradableApp["callback"]> | undefined;
  const run = async (request: IncomingMessage, response: ServerResponse) => {
    callback ??= app.callback();
    await callback(request, response);
  };
  const report = (error: unknown) => {
    callback ??= app.callback();
    app.emit("error", error);
  };

  const isOurs = (request: IncomingMessage): boolean => {
    if (!isWebSocket(request)) return false;
    try {
      return match?.(request) ?? true;
    } catch (error) {
      report(error);
      return false;
    }
  };
  const isAlone = () => server.listenerCount("upgrade") === 1;

  const mayConnect = (request: IncomingMessage, response: ServerResponse): boolean => {
    const { origin } = request.headers;
    if (origin === undefined || origins === "any") return true;
    if (origins !== undefined) return origins.includes(origin);
    // Not Koa's `origin`, which from Koa 3 on is the header itself.
    const { protocol, host } = app.createContext(request, response);
    return originOf(`${protocol}://${host}`) === origin;
  };

  const serve = async (request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> => {
    // Before anything that takes time: unheard, a reset would end the process.
    socket.on("error", () => {});
    const ours = isOurs(request);
    if (!ours && !isAlone()) return leaveToOthers(request, socket, handshakeTimeout);

    const response = new UpgradeResponse(request, socket);
    if (hasBody(request)) return response.refuse(400, "An upgrade request must have no body.");
    if (!ours) return run(request, response);

    const problem = problemOf(request);
    if (problem) return response.refuse(...problem);
    if (!mayConnect(request, response)) {
      return response.refuse(403, "Pages of this origin may not connect.");
    }
    const handshake = new Handshake(request, response, socket, head, settings);
    try {
      await run(request, response);
    } finally {
      handshake.end();
    }
  };

  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    serve(request, socket, head).catch(report);
  });
  if ("shouldUpgradeCallback" in server) {
    keepRequests(server, (request) => isOurs(request) || !isAlone());
  }
  Object.assign(app.context, { upgrade });

  return {
    sockets,
    async close({ over = 0 } = {}) {
      closing = true;
      const end = async (socket: UpgradedSocket) => {
        const closed = new Promise((resolve) => socket.once("close", resolve));
        if (over > 0) await wait(Math.random() * over);
        socket.close(1012, "restart");
        await closed;
      };
      await Promise.all([...sockets].map(end));
    },
  };
}

const MIB = 1024 * 1024;

/** What makes WebSockets of the connections whose {@link Handshake} was accepted. */
function webSocketServer(maxPayload: number, closeTimeout: number): Server<typeof UpgradedSocket> {
  const options = {
    noServer: true,
    clientTracking: false,
    WebSocket: UpgradedSocket,
    maxPayload,
    closeTimeout,
    handleProtocols: (_offered: Set<string>, request: IncomingMessage) =>
      Handshake.of(request)?.protocol ?? false,
  };
  const server = new WebSocketServer<typeof UpgradedSocket>(options);
  server.on("headers", (lines, request) => {
    lines.push(...(Handshake.of(request)?.response.linesOf101() ?? []));
  });
  return server;
}

async function upgrade(
  this: ExtendableContext,
  options: UpgradeOptions = {},
): Promise<UpgradedSocket> {
  const handshake = Handshake.of(this.req);
  if (handshake) return handshake.accept(this, options);
  throw new WebSocketError("ERR_WEBSOCKET_REQUIRED", "This address is for WebSockets.", {
    status: 426,
    expose: true,
    headers: { Upgrade: "websocket", Connection: "Upgrade" },
  });
}

/** Cuts a connection that nobody has taken: Node no longer counts its time. */
function leaveToOthers(request: IncomingMessage, socket: Socket, timeout: number): void {
  const { bytesWritten } = socket;
  const timer = setTimeout(() => {
    if (socket.bytesWritten === bytesWritten && !Handshake.of(request)) socket.destroy();
  }, timeout);
  socket.once("close", () => clearTimeout(timer));
}

/** From Node 24.9 on a request that asks for another protocol can stay what it is. */
function keepRequests(
  server: UpgradableServer & { shouldUpgradeCallback?: unknown },
  isWanted: (request: IncomingMessage) => boolean,
): void {
  const before = server.shouldUpgradeCallback as (request: IncomingMessage) => boolean;
  server.shouldUpgradeCallback = (request: IncomingMessage) =>
    before.call(server, request) && isWanted(request);
}
