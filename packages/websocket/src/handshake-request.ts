import type { IncomingMessage } from "node:http";
import { WebSocketError } from "./errors.ts";

/** Why a request is refused: what `UpgradeResponse.refuse` takes. */
export type Refusal = [status: number, message: string, headers?: Readonly<Record<string, string>>];

/** A token of RFC 9110, 5.6.2. */
export const isToken = (text: unknown): text is string =>
  typeof text === "string" && /^[\w!#$%&'*+.^`|~-]+$/.test(text);

/** Whether a request asks for a WebSocket. One that doesn't is served as if it had asked nothing. */
export const isWebSocket = ({ method, headers, httpVersion }: IncomingMessage): boolean =>
  method === "GET" && httpVersion === "1.1" && headers.upgrade?.toLowerCase() === "websocket";

/** Node hands an upgrade's connection over without reading a body. */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;

/** What of a handshake is not as RFC 6455, 4.2.1 wants it. */
export function problemOf(request: IncomingMessage): Refusal | undefined {
  const { headers } = request;
  if (headers["sec-websocket-version"] !== "13") {
    const spoken = { "Sec-WebSocket-Version": "13", Upgrade: "websocket", Connection: "Upgrade" };
    return [426, "This server speaks version 13 of the protocol.", spoken];
  }
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return [400, "Sec-WebSocket-Key must be 16 bytes in base64."];
  }
  const offered = offeredProtocols(request);
  if (!offered.every(isToken) || new Set(offered).size < offered.length) {
    return [400, "Sec-WebSocket-Protocol must be a list of different names."];
  }
  return undefined;
}

const offeredProtocols = ({ headers }: IncomingMessage): string[] =>
  headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];

/**
 * The first of the handler's subprotocols that the client offers.
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
