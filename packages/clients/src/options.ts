import type { KeyObject } from "node:crypto";
import {
  checkOptions,
  checkValue,
  duration,
  flag,
  func,
  integer,
  oneOf,
  or,
  type Rules,
  required,
  TOKEN,
  text,
  token,
  value,
} from "@lanai/connection/options";
import { type QueueOptions, queueRule } from "@lanai/connection/queue";
import { RATE, type RateOptions } from "@lanai/connection/rate";
import type { PubSub } from "@lanai/pubsub";
import type { Sessions } from "@lanai/session";
import { type SecretKey, secretKey } from "@lanai/session/tracker";
import type { ExtendableContext } from "koa";
import type { Sink } from "./transports/sink.ts";

/**
 * Options of `createClients`. Only `sessions` is required; `pubsub` is needed for several processes.
 */
export interface ClientsOptions {
  /** The session manager. When a session ends, its listeners end. Its store must have an index. */
  readonly sessions: Sessions;
  /** Reaches the other processes: a bus, or a backend of one. Default: none, for one process. */
  readonly pubsub?: PubSub | { readonly backend: PubSub };
  /** Name of the client cookie, without the `__Host-` prefix. Default: `cid`. */
  readonly name?: string;
  /**
   * The lifetime of the client cookie. Milliseconds, from 1,000 to 400 days, the most that browsers allow
   * (RFC 6265bis, 5.5). Default: 400 days.
   */
  readonly maxAge?: number;
  /** `true`: the cookie is secure even if Koa considers the request insecure. Default: `ctx.secure`. */
  readonly secure?: boolean;
  /** The cookie's `SameSite` attribute. `none` needs `secure: true`. Default: `lax`. */
  readonly sameSite?: "lax" | "strict" | "none";
  /** One cookie for each site that embeds this one (CHIPS). Needs `secure: true`. Default: `false`. */
  readonly partitioned?: boolean;
  /**
   * The most listeners of one session in one process: one more ends the oldest. An integer from 1 to
   * 1,000,000. Default: 20.
   */
  readonly maxPerSession?: number;
  /**
   * The most listeners of one browser in one process: one more ends the oldest. An integer from 1 to
   * 1,000,000. Only with `keys` is this a limit: without them a client may name itself as it likes.
   * Default: 100.
   */
  readonly maxPerClient?: number;
  /**
   * The most listeners of this process. One more is refused: a WebSocket with 503, an event stream is
   * asked to come back. An integer from 1 to 1,000,000, or `Infinity`. Default: `Infinity`.
   */
  readonly maxPerProcess?: number;
  /**
   * Keys of at least 32 bytes each: the first signs, all verify. They sign the client cookie, so that
   * only those that were issued are accepted, and authenticate the notes that processes send each other
   * over the bus. Default: none.
   */
  readonly keys?: readonly SecretKey[];
  /**
   * The header in which the sessions' tracker sends its tokens, such as `Session-ID`. With it a tab
   * without a token gets a session of its own with its first message. Default: none.
   */
  readonly tokenHeader?: string;
  /** Separates apps that share a bus, in the reserved subjects of this package. Default: `app`. */
  readonly prefix?: string;
  /**
   * The interval at which the sessions of listeners are checked. If a session or a client is ended in
   * another process while the bus is unreachable, its listeners live no longer than this. Milliseconds,
   * from 100. Default: 30,000.
   */
  readonly revalidateInterval?: number;
  /** The outage of the store after which listeners end. Milliseconds, from 0. Default: 120,000. */
  readonly staleLimit?: number;
  /**
   * The interval of heartbeats between processes; after three intervals of silence a process is lost.
   * Milliseconds, from 100. Default: 15,000.
   */
  readonly presenceInterval?: number;
  /** The wait for a reconnect before `empty` is emitted. Milliseconds, from 0. Default: 8,000. */
  readonly leaveGrace?: number;
  /** The longest that anything waits for the bus. Milliseconds, from 1. Default: 1,000. */
  readonly busTimeout?: number;
}

/** Options of one `clients.attach()`. */
export interface AttachOptions {
  /** Accepts connections without a client cookie and without a session too. Default: `false`. */
  readonly anonymous?: boolean;
  /** Makes another transport. Default: a WebSocket for an upgrade, else an event stream. */
  readonly connect?: (ctx: ExtendableContext) => Sink | Promise<Sink>;
  /** The listener's `kind`. Default: `websocket` or `event-stream`. */
  readonly kind?: string;
  /**
   * With `open`, an open listener keeps its session from idling out; with `messages`, only messages of
   * its browser do. The absolute timeout ends the session in both cases. Default: `open`.
   */
  readonly idle?: "open" | "messages";
  /**
   * The subprotocols of a WebSocket that the app speaks, the preferred first; the first that the
   * browser offers too is chosen. Not with `connect`. Default: none.
   */
  readonly protocols?: readonly string[];
  /**
   * The queue of messages that wait for a slow connection. Defaults: `limit: 256`, `bytes: 1_048_576`,
   * `overflow: "close"`.
   */
  readonly queue?: QueueOptions;
  /**
   * The rate limit of what the browser sends. Defaults: 500 `messages` and 1 MiB of `bytes` a second,
   * with `overflow: "pause"`.
   */
  readonly rate?: RateOptions;
}

/** Options of `clients.close()`. */
export interface CloseOptions {
  /**
   * Each listener ends at a random moment within this time, so that not all browsers reconnect at once.
   * Milliseconds, from 0. Default: 0.
   */
  readonly over?: number;
  /**
   * The longest that handlers of messages may run after the last listener has ended. Milliseconds, from
   * 0. Default: 10,000.
   */
  readonly timeout?: number;
}

const OWNER = "createClients";
/** The longest that browsers keep a cookie, in milliseconds. */
export const MAX_AGE: number = 400 * 24 * 60 * 60 * 1000;
const MIN_KEY_BYTES = 32;

/** Returns the backend of a bus, or the backend itself. */
export function pubsubOf(pubsub: ClientsOptions["pubsub"]): PubSub | undefined {
  return typeof pubsub === "object" && "backend" in pubsub ? pubsub.backend : pubsub;
}

/** Returns Node's key objects, made once. */
export function keysOf(keys: readonly SecretKey[] | undefined): readonly KeyObject[] | undefined {
  return keys?.map((key, at) => secretKey(`${OWNER}: keys[${at}]`, key, MIN_KEY_BYTES));
}

const method = (it: unknown, name: string): boolean =>
  typeof (it as Record<string, unknown> | null | undefined)?.[name] === "function";

const CLIENTS: Rules<ClientsOptions> = {
  sessions: required(value("what createSessions has made", (it) => method(it, "onEnd"))),
  pubsub: value("what createPubSub has made, or a backend such as redisPubSub(redis)", (it) =>
    method(pubsubOf((it ?? undefined) as ClientsOptions["pubsub"]), "subscribe"),
  ),
  name: text("a cookie's name without __Host-", (it) => TOKEN.test(it) && !it.startsWith("__")),
  maxAge: duration(1_000, MAX_AGE),
  secure: flag,
  sameSite: oneOf("lax", "strict", "none"),
  partitioned: flag,
  maxPerSession: integer(1, 1_000_000, "listeners"),
  maxPerClient: integer(1, 1_000_000, "listeners"),
  maxPerProcess: or(integer(1, 1_000_000, "listeners"), Infinity),
  keys: value(
    `an array of secrets of at least ${MIN_KEY_BYTES} bytes`,
    (it) => Array.isArray(it) && it.length > 0,
  ),
  tokenHeader: token,
  prefix: text(
    "letters, digits, _ and - between dots, at most 64",
    /^(?=.{1,64}$)[\w-]+(?:\.[\w-]+)*$/,
  ),
  revalidateInterval: duration(100),
  staleLimit: duration(0),
  presenceInterval: duration(100),
  leaveGrace: duration(0),
  busTimeout: duration(1),
};

/** @throws TypeError or RangeError for an option that doesn't exist or can't be. */
export function validate(options: ClientsOptions): void {
  checkOptions(OWNER, options, CLIENTS);
  const { sessions, sameSite, partitioned, secure } = options;
  const indexed = value(
    "sessions in a store that finds them by owner, such as memoryStore()",
    () => sessions.isIndexed,
  );
  checkValue(OWNER, "sessions", sessions, indexed);
  if (secure === true) return;
  for (const [option, isUsed] of [
    ["sameSite: 'none'", sameSite === "none"],
    ["partitioned", partitioned === true],
  ] as const) {
    if (isUsed)
      throw new TypeError(`${OWNER}: ${option} needs secure: true, or browsers reject it`);
  }
}

const ATTACH: Rules<AttachOptions> = {
  anonymous: flag,
  connect: func,
  kind: text(),
  idle: oneOf("open", "messages"),
  protocols: value(
    "an array of tokens (RFC 9110, 5.6.2)",
    (it) => Array.isArray(it) && it.every((name) => TOKEN.test(name)),
  ),
  queue: queueRule("messages"),
  rate: RATE,
};

/** @throws TypeError or RangeError for an option that doesn't exist or can't be. */
export function validateAttach(options: AttachOptions): void {
  checkOptions("attach", options, ATTACH);
  if (options.connect && options.protocols) {
    throw new TypeError("attach: protocols can't be used with connect");
  }
}

/** @throws TypeError or RangeError for an option that doesn't exist or can't be. */
export function validateClose(options: CloseOptions): void {
  checkOptions("close", options, { over: duration(0), timeout: duration(0) });
}
