import type { IncomingMessage } from "node:http";
import { isToken } from "./handshake-request.ts";

/**
 * What happens when more waits to be sent to a client than `maxBuffered`.
 *
 * - `close`: the socket is closed with 1013, and its client may come back.
 * - `drop-oldest`: the messages that have waited longest are left out.
 */
export type OverflowPolicy = "close" | "drop-oldest";

/** What one `ctx.upgrade()` may say. */
export interface UpgradeOptions {
  /**
   * The subprotocols that the handler speaks, the preferred first (RFC 6455, 4.2.2). A client that
   * offers others only is refused with 400. Default: none is chosen.
   */
  readonly protocols?: readonly string[];
  /** How many bytes may wait to be sent, from 1. Default: that of `attachUpgrade`. */
  readonly maxBuffered?: number;
  /** What happens when more waits. Default: that of `attachUpgrade`. */
  readonly overflow?: OverflowPolicy;
}

export interface AttachUpgradeOptions {
  /**
   * Whether a WebSocket request is for this app. The others are left to the server's other upgrade
   * listeners; where there are none, they run the app as plain requests. Default: all are.
   */
  readonly match?: (request: IncomingMessage) => boolean;
  /**
   * The origins whose pages may connect, such as `https://example.com`, or `"any"`. Others are
   * refused with 403, before any middleware runs; a client that sends no `Origin` is no browser, and
   * is not refused. Default: the origin that was asked, by Koa's
   * `ctx.protocol` and `ctx.host`, which behind a proxy need `app.proxy`.
   */
  readonly origins?: readonly string[] | "any";
  /**
   * How long the middlewares may take until the 101, in milliseconds, from 1; then the client is
   * answered 503. Default: 10,000.
   */
  readonly handshakeTimeout?: number;
  /** The largest message that a client may send, in bytes, from 1. Default: 1 MiB. */
  readonly maxPayload?: number;
  /**
   * How often a client is pinged, in milliseconds, from 1; who hasn't answered until the next ping is
   * gone. `Infinity`: never. Default: 25,000.
   */
  readonly pingInterval?: number;
  /**
   * How long a closed socket waits for its client's close frame, in milliseconds, from 1, until the
   * connection is cut. Default: 1,000.
   */
  readonly closeTimeout?: number;
  /** How many bytes may wait to be sent to one client, from 1. Default: 1 MiB. */
  readonly maxBuffered?: number;
  /** What happens when more waits. Default: `"close"`. */
  readonly overflow?: OverflowPolicy;
}

const MOST = 2 ** 31 - 1;

export function validate(options: AttachUpgradeOptions): void {
  const owner = "attachUpgrade";
  known(owner, options, [
    "match",
    "origins",
    "handshakeTimeout",
    "maxPayload",
    "pingInterval",
    "closeTimeout",
    "maxBuffered",
    "overflow",
  ] satisfies readonly (keyof AttachUpgradeOptions)[]);
  const { match, origins, pingInterval } = options;
  if (match !== undefined && typeof match !== "function") {
    throw new TypeError(`${owner}: match must be a function, got ${typeof match}`);
  }
  if (origins !== undefined && origins !== "any") checkOrigins(owner, origins);
  whole(owner, "handshakeTimeout", "milliseconds", options.handshakeTimeout);
  whole(owner, "maxPayload", "bytes", options.maxPayload);
  if (pingInterval !== Infinity) whole(owner, "pingInterval", "milliseconds", pingInterval);
  whole(owner, "closeTimeout", "milliseconds", options.closeTimeout);
  checkBuffer(owner, options);
}

export function validateUpgrade(options: UpgradeOptions): void {
  const owner = "ctx.upgrade";
  known(owner, options, [
    "protocols",
    "maxBuffered",
    "overflow",
  ] satisfies readonly (keyof UpgradeOptions)[]);
  const { protocols } = options;
  if (protocols !== undefined && !(Array.isArray(protocols) && protocols.every(isToken))) {
    throw new TypeError(`${owner}: protocols must be an array of names of subprotocols`);
  }
  checkBuffer(owner, options);
}

function known(owner: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${owner}: the options must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const all = names.join(", ");
    throw new TypeError(`${owner}: there is no option "${name}": its options are ${all}`);
  }
}

function checkOrigins(owner: string, origins: unknown): void {
  if (!Array.isArray(origins)) {
    throw new TypeError(`${owner}: origins must be an array or "any", got ${typeof origins}`);
  }
  for (const origin of origins) {
    if (typeof origin === "string" && (origin === "null" || originOf(origin) === origin)) continue;
    throw new TypeError(
      `${owner}: origins must hold origins such as "https://example.com", got "${String(origin)}"`,
    );
  }
}

/** `undefined`: not a URL. */
export const originOf = (url: string): string | undefined =>
  URL.canParse(url) ? new URL(url).origin : undefined;

function whole(owner: string, name: string, unit: string, value: number | undefined): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= MOST)) return;
  throw new RangeError(
    `${owner}: ${name} must be a whole number of ${unit} from 1 to ${MOST}, got ${String(value)}`,
  );
}

function checkBuffer(
  owner: string,
  { maxBuffered, overflow }: Pick<UpgradeOptions, "maxBuffered" | "overflow">,
): void {
  whole(owner, "maxBuffered", "bytes", maxBuffered);
  if (overflow === undefined || overflow === "close" || overflow === "drop-oldest") return;
  throw new TypeError(
    `${owner}: overflow must be "close" or "drop-oldest", got "${String(overflow)}"`,
  );
}
