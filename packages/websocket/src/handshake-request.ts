import type { IncomingMessage } from "node:http";
import { TOKEN } from "@lanai/connection/options";
import { UPGRADE_HEADERS } from "@lanai/connection/upgrade";
import { WebSocketError } from "./errors.ts";

/** The reason why a request is refused: the arguments of `UpgradeResponse.refuse`. */
export type Refusal = [status: number, message: string, headers?: Readonly<Record<string, string>>];

/** Returns whether a request is a WebSocket handshake. Any other is served as a plain request. */
export const isWebSocket = ({ method, headers, httpVersion }: IncomingMessage): boolean =>
  method === "GET" && httpVersion === "1.1" && headers.upgrade?.toLowerCase() === "websocket";

/** Node hands an upgrade's connection over without reading a body. */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;

/**
 * Makes `X-Forwarded-Proto: wss` and `ws`, which Traefik sends with upgrades, `https` and `http`, so
 * that whatever reads the scheme (Koa's `ctx.secure`, cookies, the check of the origin) has the one
 * that the page's other requests have.
 */
export function normalizeForwardedScheme({ headers }: IncomingMessage): void {
  const forwarded = headers["x-forwarded-proto"];
  if (typeof forwarded !== "string") return;
  headers["x-forwarded-proto"] = forwarded.replaceAll(
    /(?<=^|,)(\s*)ws(s?)(?=\s*(?:,|$))/gi,
    (_all, space: string, secure: string) => `${space}http${secure.toLowerCase()}`,
  );
}

/** Returns what RFC 6455, 4.2.1 doesn't allow in a handshake. */
export function problemOf(request: IncomingMessage): Refusal | undefined {
  const { headers } = request;
  if (headers["sec-websocket-version"] !== "13") {
    const spoken = { "Sec-WebSocket-Version": "13", ...UPGRADE_HEADERS };
    return [426, "This server speaks version 13 of the protocol.", spoken];
  }
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return [400, "Sec-WebSocket-Key must be 16 bytes in base64."];
  }
  const offered = offeredProtocols(request);
  if (!offered.every((name) => TOKEN.test(name)) || new Set(offered).size < offered.length) {
    return [400, "Sec-WebSocket-Protocol must be a list of different names."];
  }
  return undefined;
}

const offeredProtocols = ({ headers }: IncomingMessage): string[] =>
  headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];

/**
 * Returns the first of the handler's subprotocols that the client offers.
 *
 * @throws WebSocketError `ERR_WEBSOCKET_PROTOCOL` if it offers none of them.
 */
export function chooseProtocol(
  request: IncomingMessage,
  spoken: readonly string[] = [],
): string | undefined {
  const offered = offeredProtocols(request);
  const protocol = spoken.find((name) => offered.includes(name));
  if (protocol !== undefined || spoken.length === 0) return protocol;
  throw new WebSocketError(
    "ERR_WEBSOCKET_PROTOCOL",
    `This address speaks ${spoken.join(", ")}: ask for it by Sec-WebSocket-Protocol.`,
    { status: 400, expose: true },
  );
}
