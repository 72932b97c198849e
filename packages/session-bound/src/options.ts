import type { KeyObject } from "node:crypto";
import {
  checkOptions,
  duration,
  func,
  nested,
  oneOf,
  type Rules,
  required,
  TOKEN,
  text,
  value,
  withMethods,
} from "@lanai/connection/options";
import type { Sessions } from "@lanai/session";
import { type SecretKey, secretKey } from "@lanai/session/tracker";
import type { BoundAlgorithm } from "./device-key.ts";
import type { LiveClients } from "./listeners.ts";

/**
 * The requests that need a proof.
 *
 * - `if-bound`: requests of bound sessions. Other sessions pass, so browsers without DBSC go on as before.
 * - `always`: all requests of signed-in sessions. A session that isn't bound a minute after its sign-in
 *   is refused.
 * - `by-route`: only requests that reach a `requireBound()`.
 */
export type RequirePolicy = "if-bound" | "always" | "by-route";

/** The part of the site that a device's proof covers. */
export interface BoundScope {
  /**
   * Paths that need no proof, including everything below them, such as `/assets`. The browser doesn't
   * refresh before it requests them, and the server doesn't ask for a proof. Default: none.
   */
  readonly exclude?: readonly string[];
}

/** Options of `boundSessions`. Only `sessions` is required. */
export interface BoundSessionsOptions<C extends LiveClients = LiveClients> {
  /** The session manager. Its store must keep sessions on the server and find them by owner. */
  readonly sessions: Sessions;
  /** Path below which browsers register keys, refresh cookies and extend connections. Default: `/device-bound`. */
  readonly path?: string;
  /** Cookie name, without the `__Host-` prefix. Default: `bound`. */
  readonly name?: string;
  /**
   * The lifetime of a bound cookie, in milliseconds, from 2,000 (2 seconds) to 86,400,000 (1 day). A
   * copied cookie jar works for this long. Default: 600,000 (10 minutes: Chromium signs about six times in
   * nine minutes).
   */
  readonly lifetime?: number;
  /**
   * The time by which a live connection may outlive its cookie, in milliseconds, from 0 to 3,600,000
   * (1 hour). It gives the page time to extend the connection. Default: 120,000 (a hidden page's timers
   * run once a minute).
   */
  readonly grace?: number;
  /**
   * Keys that sign the bound cookies, at least 32 bytes each. The first one signs, all of them verify.
   * Default: none; each session then has a secret of its own in its record.
   */
  readonly keys?: readonly SecretKey[];
  /** The paths that need no proof. */
  readonly scope?: BoundScope;
  /** The requests that need a proof. Default: `if-bound`. */
  readonly require?: RequirePolicy;
  /**
   * `allow` lets requests of bound sessions pass without a proof if they carry
   * `Secure-Session-Skipped`. Anybody can send that header, a thief too. Default: `refuse`.
   */
  readonly onSkipped?: "refuse" | "allow";
  /** Accepted signature algorithms, in the order of preference. Default: ES256, RS256. */
  readonly algorithms?: readonly BoundAlgorithm[];
  /** The clients that `createClients` returned, if pages should be able to extend their connections. Default: none. */
  readonly clients?: C;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

const OWNER = "boundSessions";
const SECOND = 1_000;
const HOUR = 60 * 60 * SECOND;
const MIN_KEY_BYTES = 32;
const ALGORITHMS: readonly BoundAlgorithm[] = ["ES256", "RS256"];

const isList = (it: unknown): it is readonly unknown[] => Array.isArray(it) && it.length > 0;
/** Returns whether it is a path as browsers send it, without a dot segment, a query or anything encoded. */
const isPath = (it: unknown): boolean =>
  typeof it === "string" && it.length <= 256 && /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/.test(it);
const isCookieName = (it: string): boolean =>
  TOKEN.test(it) && !it.startsWith("__") && it.length <= 64;

const RULES: Rules<BoundSessionsOptions> = {
  sessions: required(
    withMethods("the sessions that createSessions returned", "from", "receive", "middleware"),
  ),
  path: text('a path such as "/device-bound"', isPath),
  name: text("a cookie name without a prefix", isCookieName),
  lifetime: duration(2 * SECOND, 24 * HOUR),
  grace: duration(0, HOUR),
  keys: value("a list of at least one key", isList),
  scope: nested<BoundScope>({
    exclude: value(
      'a list of paths such as "/assets"',
      (it) => Array.isArray(it) && it.every(isPath),
    ),
  }),
  require: oneOf("if-bound", "always", "by-route"),
  onSkipped: oneOf("refuse", "allow"),
  algorithms: value(
    "a list of ES256, RS256 or both",
    (it) => isList(it) && it.every((one) => ALGORITHMS.includes(one as BoundAlgorithm)),
  ),
  clients: withMethods("the clients that createClients returned", "attach", "send"),
  clock: func,
};

/** The options, checked and complete. */
export interface BoundSettings<C extends LiveClients = LiveClients> {
  readonly sessions: Sessions;
  readonly path: string;
  readonly name: string;
  readonly lifetime: number;
  readonly grace: number;
  readonly keys: readonly KeyObject[] | undefined;
  readonly exclude: readonly string[];
  readonly require: RequirePolicy;
  readonly onSkipped: "refuse" | "allow";
  readonly algorithms: readonly BoundAlgorithm[];
  readonly clients: C | undefined;
  readonly clock: () => number;
}

export function settingsOf<C extends LiveClients>(
  options: BoundSessionsOptions<C>,
): BoundSettings<C> {
  checkOptions(OWNER, options, RULES);
  const { sessions, keys, scope = {}, clients } = options;
  if (!sessions.isIndexed) {
    throw new TypeError(
      `${OWNER}: sessions must be in a store of the server's that finds them by owner, such as ` +
        "memoryStore(): a session that the client carries could be replayed as it was before it was bound",
    );
  }
  return {
    sessions,
    path: options.path ?? "/device-bound",
    name: options.name ?? "bound",
    lifetime: options.lifetime ?? 600 * SECOND,
    grace: options.grace ?? 120 * SECOND,
    keys: keys?.map((key, at) => secretKey(`${OWNER}: keys[${at}]`, key, MIN_KEY_BYTES)),
    exclude: [...(scope.exclude ?? [])],
    require: options.require ?? "if-bound",
    onSkipped: options.onSkipped ?? "refuse",
    algorithms: [...(options.algorithms ?? ALGORITHMS)],
    clients,
    clock: options.clock ?? Date.now,
  };
}

/** Options of `requireBound`. */
export interface RequireBoundOptions {
  /**
   * Whether a request whose session isn't bound is refused with a 401 (`refuse`) or passes (`allow`), for
   * example because the browser has no DBSC. Default: `refuse`.
   */
  readonly unbound?: "refuse" | "allow";
}

export function checkRequireBound(options: RequireBoundOptions): void {
  checkOptions<RequireBoundOptions>("requireBound", options, { unbound: oneOf("refuse", "allow") });
}
