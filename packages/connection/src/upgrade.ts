import type { IncomingMessage } from "node:http";

type Request = Pick<IncomingMessage, "method" | "headers" | "httpVersion">;

const LOST =
  "This is a WebSocket handshake whose upgrade a proxy has dropped. The proxy must forward the " +
  "headers Upgrade and Connection over HTTP/1.1 (nginx: proxy_http_version 1.1; proxy_set_header " +
  'Upgrade $http_upgrade; proxy_set_header Connection "upgrade").';

const UNATTACHED =
  "This is a WebSocket handshake, and the server takes none at this address (is attachUpgrade called " +
  "for this server?).";

/**
 * Returns why a WebSocket handshake (RFC 6455, 4.1) that has reached the app as a plain request can't be
 * upgraded, or `undefined` for a request that is no handshake. A handshake is known by its
 * `Sec-WebSocket-Key` or `Sec-WebSocket-Version`, which a proxy forwards even if it drops `Upgrade`.
 */
export function handshakeProblem({ method, headers, httpVersion }: Request): string | undefined {
  const isHandshake =
    headers["sec-websocket-key"] !== undefined || headers["sec-websocket-version"] !== undefined;
  if (method !== "GET" || !isHandshake) return undefined;
  const isWhole =
    httpVersion === "1.1" &&
    headers.upgrade?.toLowerCase() === "websocket" &&
    /(^|[\s,])upgrade([\s,]|$)/i.test(headers.connection ?? "");
  return isWhole ? UNATTACHED : LOST;
}

/** The headers of a 426 (RFC 9110, 15.5.22), after which a client's handshake needs a new connection. */
export const UPGRADE_HEADERS: Readonly<Record<string, string>> = {
  Upgrade: "websocket",
  Connection: "Upgrade, close",
};
