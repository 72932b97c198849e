import type { KeyObject } from "node:crypto";
import type { PubSub } from "@lanai/pubsub";
import { knownOptions, type SecretKey, type Sessions, secretKey } from "@lanai/session";
import type { AttachOptions } from "./clients.ts";
import { inRange } from "./in-range.ts";

export interface ClientsOptions {
  /** Whose ends end the listeners. Their store must be able to find sessions by owner. */
  readonly sessions: Sessions;
  /** What reaches the other processes: a bus, or a backend of one. Default: none, for one process. */
  readonly pubsub?: PubSub | { readonly backend: PubSub };
  /** Of the client cookie, without its prefix. Default: `cid`. */
  readonly name?: string;
  /** For how long a browser keeps it, in milliseconds, up to 400 days, the default. */
  readonly maxAge?: number;
  /** `true`: also when Koa thinks that the request is not secure. Default: as `ctx.secure` says. */
  readonly secure?: boolean;
  /**
   * Signs the client cookie, so that only those that were issued are taken: the first key signs, all
   * verify. At least 32 bytes each. Default: not signed, and a browser may name itself.
   */
  readonly keys?: readonly SecretKey[];
  /**
   * The header in which the sessions' tracker sends its tokens, such as `Session-ID`. With it a tab
   * without a token gets a session of its own, with its first message. Default: none.
   */
  readonly tokenHeader?: string;
  /** What all its subjects on the bus begin with. Default: `lanai.clients`. */
  readonly prefix?: string;
  /**
   * How often it is looked whether the sessions of listeners live, in milliseconds, from 100. As long
   * a listener lives at most whose session or client was ended elsewhere while the bus was away.
   * Default: 30,000.
   */
  readonly revalidateInterval?: number;
  /** How long a store may be away until listeners end, in milliseconds. Default: 120,000. */
  readonly staleLimit?: number;
  /**
   * How often processes tell each other that they live, in milliseconds, from 100; after three times
   * that a silent one is lost. Default: 15,000.
   */
  readonly presenceInterval?: number;
  /** How long nobody must have come back until `empty` is told, in milliseconds. Default: 8,000. */
  readonly leaveGrace?: number;
  /** How long anything waits for the bus at most, in milliseconds. Default: 1,000. */
  readonly busTimeout?: number;
}

const OPTIONS = [
  "sessions",
  "pubsub",
  "name",
  "maxAge",
  "secure",
  "keys",
  "tokenHeader",
  "prefix",
  "revalidateInterval",
  "staleLimit",
  "presenceInterval",
  "leaveGrace",
  "busTimeout",
] as const satisfies readonly (keyof ClientsOptions)[];

const OWNER = "createClients";
/** The longest that browsers keep a cookie, in milliseconds. */
export const MAX_AGE: number = 400 * 24 * 60 * 60 * 1000;
const MAX_TIMER = 2 ** 31 - 1;
const MIN_KEY_BYTES = 32;
/** RFC 9110, 5.6.2. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** The backend of a bus, or the backend itself. */
export const pubsubOf = (pubsub: ClientsOptions["pubsub"]): PubSub | undefined =>
  typeof pubsub === "object" && "backend" in pubsub ? pubsub.backend : pubsub;

/** Node's key objects, made once. */
export function keysOf(keys: readonly SecretKey[] | undefined): readonly KeyObject[] | undefined {
  if (keys === undefined) return undefined;
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new TypeError(
      `${OWNER}: keys must be an array of secrets of at least ${MIN_KEY_BYTES} bytes`,
    );
  }
  return keys.map((key, at) => secretKey(`${OWNER}: keys[${at}]`, key, MIN_KEY_BYTES));
}

export function validate(options: ClientsOptions): void {
  knownOptions(OWNER, options, OPTIONS);
  const { sessions, pubsub, name, tokenHeader, prefix, secure } = options;
  const refuse = (option: keyof ClientsOptions, accepted: string): never => {
    const { [option]: value } = options;
    // What stands for a bus may be an address with a password.
    const isShown = typeof value === "string" && option !== "pubsub";
    const got = isShown ? `"${value}"` : typeof value;
    throw new TypeError(`${OWNER}: ${option} must be ${accepted}, got ${got}`);
  };
  if (typeof sessions?.onEnd !== "function") refuse("sessions", "what createSessions has made");
  if (!sessions.isIndexed) {
    refuse("sessions", "sessions in a store that finds them by owner, such as memoryStore()");
  }
  if (pubsub !== undefined && typeof pubsubOf(pubsub)?.subscribe !== "function") {
    refuse("pubsub", "what createPubSub has made, or a backend such as redisPubSub(redis)");
  }
  if (name !== undefined && !(typeof name === "string" && TOKEN.test(name) && !/^__/.test(name))) {
    refuse("name", "a cookie's name without __Host-");
  }
  if (secure !== undefined && typeof secure !== "boolean") refuse("secure", "true or false");
  if (tokenHeader !== undefined && !(typeof tokenHeader === "string" && TOKEN.test(tokenHeader))) {
    refuse("tokenHeader", "the name of a header");
  }
  if (prefix !== undefined && !/^[\w-]+(?:\.[\w-]+)*$/.test(prefix)) {
    refuse("prefix", "letters, digits, _ and - between dots");
  }
  inRange(OWNER, "maxAge", options.maxAge, [1_000, MAX_AGE]);
  inRange(OWNER, "revalidateInterval", options.revalidateInterval, [100, MAX_TIMER]);
  inRange(OWNER, "staleLimit", options.staleLimit, [0, MAX_TIMER]);
  inRange(OWNER, "presenceInterval", options.presenceInterval, [100, MAX_TIMER]);
  inRange(OWNER, "leaveGrace", options.leaveGrace, [0, MAX_TIMER]);
  inRange(OWNER, "busTimeout", options.busTimeout, [1, MAX_TIMER]);
}

export function validateAttach(options: AttachOptions): void {
  knownOptions("attach", options, ["anonymous", "connect", "kind", "idle", "queue"]);
  const { idle, connect, queue } = options;
  if (idle !== undefined && idle !== "open" && idle !== "messages") {
    throw new TypeError(`attach: idle must be "open" or "messages", got "${String(idle)}"`);
  }
  if (connect !== undefined && typeof connect !== "function") {
    throw new TypeError(`attach: connect must be a function, got ${typeof connect}`);
  }
  if (queue === undefined) return;
  knownOptions("attach: queue", queue, ["limit", "size", "overflow"]);
  inRange("attach", "queue.limit", queue.limit, [1, 100_000]);
  inRange("attach", "queue.size", queue.size, [1, 1_073_741_824]);
  const { overflow } = queue;
  if (overflow !== undefined && overflow !== "close" && overflow !== "drop-oldest") {
    throw new TypeError(
      `attach: queue.overflow must be "close" or "drop-oldest", got "${String(overflow)}"`,
    );
  }
}
