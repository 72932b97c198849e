import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { Socket } from "node:net";
import { after } from "@lanai/connection/deadline";
import { queueOf } from "@lanai/connection/queue";
import { handshakeProblem, UPGRADE_HEADERS } from "@lanai/connection/upgrade";
import type { ExtendableContext } from "koa";
import { type Server, WebSocketServer } from "ws";
import { WebSocketError } from "./errors.ts";
import { events } from "./events.ts";
import { Handshake, type HandshakeSettings, reportFull } from "./handshake.ts";
import { hasBody, isWebSocket, normalizeForwardedScheme, problemOf } from "./handshake-request.ts";
import { Heartbeats } from "./heartbeats.ts";
import {
  type AttachUpgradeOptions,
  type CloseOptions,
  type UpgradeOptions,
  validate,
  validateClose,
} from "./options.ts";
import { originCheck } from "./origin-check.ts";
import { ignore, UpgradeResponse } from "./upgrade-response.ts";
import { UpgradedSocket } from "./upgraded-socket.ts";

/**
 * A server whose upgrades `attachUpgrade` can handle: of `node:http`, `node:https`, or `node:http2`
 * with `allowHTTP1`.
 */
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
     * @throws WebSocketError `ERR_WEBSOCKET_REQUIRED` (426) in a request that is no handshake, and
     *   `ERR_WEBSOCKET_UPGRADE_LOST` (426) where a proxy has dropped its upgrade.
     */
    upgrade(options?: UpgradeOptions): Promise<UpgradedSocket>;
  }
}

/** The WebSockets of a server. */
export interface Upgrades {
  /** The sockets that are open or closing. */
  readonly sockets: ReadonlySet<UpgradedSocket>;
  /**
   * Refuses new ones (503) and closes all with 1012, which asks the clients to come back. Until its
   * own moment each socket sends and receives as before, and what its client sent before it knew is
   * still delivered. Resolves when all are gone.
   *
   * @throws TypeError or RangeError for a wrong option.
   */
  close(options?: CloseOptions): Promise<void>;
}

/**
 * Lets a server's WebSocket requests run the app: its global, group and route middlewares, one of which
 * calls `ctx.upgrade()`. Any other response of theirs is plain HTTP.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or is out of range.
 */
export function attachUpgrade(
  server: UpgradableServer,
  app: UpgradableApp,
  options: AttachUpgradeOptions = {},
): Upgrades {
  validate(options);
  const { match, handshakeTimeout = 10_000, pingInterval = 25_000 } = options;
  const { maxPayload = MIB, closeTimeout = 1_000, rate = {}, maxSockets = Infinity } = options;
  const queue = queueOf(options.queue);

  const origins = Array.isArray(options.origins) ? [...options.origins] : options.origins;
  const sockets = new Set<UpgradedSocket>();
  const heartbeats = new Heartbeats(pingInterval);
  let closing = false;
  const settings: HandshakeSettings = {
    webSockets: webSocketServer(maxPayload, closeTimeout),
    handshakeTimeout,
    limits: {
      ...{ queue, rate, heldBytes: maxPayload, heldTimeout: handshakeTimeout },
      closed(socket) {
        sockets.delete(socket);
        heartbeats.delete(socket);
      },
    },
    hasRoom: () => sockets.size < maxSockets,
    isClosing: () => closing,
    opened(socket) {
      sockets.add(socket);
      heartbeats.add(socket);
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

  const mayConnect = originCheck(origins, (request, response: ServerResponse) =>
    app.createContext(request, response),
  );

  const serve = async (request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> => {
    // Before anything that takes time: unheard, a reset would end the process.
    socket.on("error", ignore);
    const ours = isOurs(request);
    if (!ours && !isAlone()) return leaveToOthers(request, socket, handshakeTimeout);

    if (ours) normalizeForwardedScheme(request);
    const response = new UpgradeResponse(request, socket);
    if (hasBody(request)) return response.refuse(400, "An upgrade request must have no body.");
    if (!ours) return run(request, response);

    const problem = problemOf(request);
    if (problem) return response.refuse(...problem);
    if (!mayConnect(request, response)) {
      return response.refuse(403, "Pages of this origin may not connect.");
    }
    if (sockets.size >= maxSockets) {
      reportFull();
      return response.refuse(503, "This server has as many connections as it takes.", {
        "Retry-After": "5",
      });
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
    async close(closeOptions = {}) {
      validateClose(closeOptions);
      const { over = 0 } = closeOptions;
      closing = true;
      const end = (socket: UpgradedSocket) =>
        new Promise<void>((resolve) => {
          const restart = () => void socket.finish(1012, "restart");
          socket.once("close", resolve);
          if (over === 0) restart();
          else socket.once("close", after(Math.random() * over, restart));
        });
      await Promise.all([...sockets].map(end));
    },
  };
}

const MIB = 1024 * 1024;

/** Makes the server of ws, which turns connections with an accepted {@link Handshake} into sockets. */
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
  const answer = { status: 426, expose: true, headers: UPGRADE_HEADERS };
  const message = handshakeProblem(this.req);
  if (message === undefined) {
    throw new WebSocketError("ERR_WEBSOCKET_REQUIRED", "This address is for WebSockets.", answer);
  }
  events.report("upgrade-lost", "upgrade-lost", { level: "warn", message });
  throw new WebSocketError("ERR_WEBSOCKET_UPGRADE_LOST", message, answer);
}

/** Cuts a connection that no listener has taken within the timeout: Node's own have been disabled. */
function leaveToOthers(request: IncomingMessage, socket: Socket, timeout: number): void {
  const { bytesWritten } = socket;
  const cancel = after(timeout, () => {
    if (socket.bytesWritten === bytesWritten && !Handshake.of(request)) socket.destroy();
  });
  socket.once("close", cancel);
}

/** Lets a request that asks for another protocol stay a plain request, from Node 24.9 on. */
function keepRequests(
  server: UpgradableServer & { shouldUpgradeCallback?: unknown },
  isWanted: (request: IncomingMessage) => boolean,
): void {
  const before = server.shouldUpgradeCallback as (request: IncomingMessage) => boolean;
  server.shouldUpgradeCallback = (request: IncomingMessage) =>
    before.call(server, request) && isWanted(request);
}
