import type { IncomingMessage } from "node:http";
import {
  anything,
  checkOptions,
  func,
  integer,
  MAX_TIMER,
  or,
  type Rule,
  type Rules,
  TOKEN,
  value,
} from "@lanai/connection/options";
import { checkOrigins } from "@lanai/connection/origin";
import { MOVED_TO_QUEUE, type QueueOptions, queueRule } from "@lanai/connection/queue";
import { RATE, type RateOptions } from "@lanai/connection/rate";

/** Options of one `ctx.upgrade()`. */
export interface UpgradeOptions {
  /**
   * The subprotocols that the handler speaks, the preferred first (RFC 6455, 4.2.2). A client that
   * offers none of them is refused with 400. Default: none is chosen.
   */
  readonly protocols?: readonly string[];
  /** Takes the place of the queue options of `attachUpgrade`, one by one. */
  readonly queue?: QueueOptions;
  /** Takes the place of the rate options of `attachUpgrade`, one by one. */
  readonly rate?: RateOptions;
}

/** Options of `attachUpgrade`. */
export interface AttachUpgradeOptions {
  /**
   * Returns whether a WebSocket request is for this app. The others are left to the server's other
   * upgrade listeners; if there are none, they run the app as plain requests. Default: all are for it.
   */
  readonly match?: (request: IncomingMessage) => boolean;
  /**
   * The origins whose pages may connect, or `"any"`. An origin is scheme, host and port as browsers
   * serialise them (RFC 6454, 6.2), such as `https://example.com` or `capacitor://localhost`, and is
   * compared as text. Others are refused with 403, before any middleware runs. A client that sends no
   * `Origin` is no browser, and is not refused. Default: the origin that the request was sent to, from
   * Koa's `ctx.protocol` and `ctx.host`, which behind a proxy need `app.proxy`.
   */
  readonly origins?: readonly string[] | "any";
  /**
   * The timeout of the handshake: if the middlewares take longer until the 101, the client receives a
   * 503. It is also the longest that a client is paused while its messages wait for a listener; then it
   * is closed with 1013. Milliseconds, an integer from 1 to 2^31 - 1. Default: 10,000.
   */
  readonly handshakeTimeout?: number;
  /** The largest message that a client may send. Bytes, an integer from 1 to 2^31 - 1. Default: 1 MiB. */
  readonly maxPayload?: number;
  /**
   * The interval of pings. If nothing has come from a client until the next ping, it is cut off.
   * Milliseconds, an integer from 1 to 2^31 - 1; `Infinity`: never. Default: 25,000.
   */
  readonly pingInterval?: number;
  /**
   * The longest that a closed socket waits for its client's close frame; then the connection is cut.
   * Milliseconds, an integer from 1 to 2^31 - 1. Default: 1,000.
   */
  readonly closeTimeout?: number;
  /**
   * The queue of messages that wait for a slow client. Defaults: `limit: 10_000`, `bytes: 1_048_576`,
   * `overflow: "close"`.
   */
  readonly queue?: QueueOptions;
  /** The rate limit of what a client sends. Default: none; `overflow` is `"pause"`. */
  readonly rate?: RateOptions;
  /**
   * The most sockets of this server. A further handshake receives a 503 before any middleware runs. An
   * integer from 1 to 1,000,000, or `Infinity`. Default: `Infinity`.
   */
  readonly maxSockets?: number;
}

/** Options of `upgrades.close()`. */
export interface CloseOptions {
  /**
   * Each socket is closed at a random moment within this time, so that not all clients come back at
   * once. Milliseconds, an integer from 0 to 2^31 - 1. Default: 0.
   */
  readonly over?: number;
}

const milliseconds = (least: number): Rule => integer(least, MAX_TIMER, "milliseconds");
const bytes: Rule = integer(1, MAX_TIMER, "bytes");

const QUEUE = queueRule("messages");

const ATTACH: Rules<AttachUpgradeOptions> = {
  match: func,
  origins: anything,
  handshakeTimeout: milliseconds(1),
  maxPayload: bytes,
  pingInterval: or(milliseconds(1), Infinity),
  closeTimeout: milliseconds(1),
  queue: QUEUE,
  rate: RATE,
  maxSockets: or(integer(1, 1_000_000, "sockets"), Infinity),
};

const UPGRADE: Rules<UpgradeOptions> = {
  protocols: value(
    "an array of different names of subprotocols",
    (it) => Array.isArray(it) && it.every(isToken) && new Set(it).size === it.length,
  ),
  queue: QUEUE,
  rate: RATE,
};

const WS = {
  ...MOVED_TO_QUEUE,
  perMessageDeflate: "compression is off (see the README)",
  verifyClient: "a middleware of the app refuses a client",
  handleProtocols: "write ctx.upgrade({ protocols })",
  path: "write match, or a route of the app",
};

/** A token of RFC 9110, 5.6.2. */
const isToken = (text: unknown): boolean => typeof text === "string" && TOKEN.test(text);

export function validate(options: AttachUpgradeOptions): void {
  const owner = "attachUpgrade";
  checkOptions(owner, options, ATTACH, WS);
  const { origins } = options;
  if (origins !== undefined && origins !== "any") checkOrigins(owner, origins, true);
}

export function validateUpgrade(options: UpgradeOptions): void {
  checkOptions("ctx.upgrade", options, UPGRADE, MOVED_TO_QUEUE);
}

export function validateClose(options: CloseOptions): void {
  checkOptions("upgrades.close", options, { over: milliseconds(0) });
}
