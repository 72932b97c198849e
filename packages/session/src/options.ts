import {
  checkOptions,
  checkValue,
  duration,
  func,
  integer,
  MAX_TIMER,
  nested,
  oneOf,
  or,
  property,
  type Rules,
  required,
  token,
  value,
  withMethods,
} from "@lanai/connection/options";
import type { ExtendableContext } from "koa";
import { DEVICES_RULE, type DevicesOptions } from "./devices/device.ts";
import type { IdGenerator } from "./id-generator.ts";
import { isIndexed } from "./indexed-store.ts";
import type { ReleasedSession } from "./manager/ends.ts";
import type { Session, SessionData } from "./session.ts";
import type { Awaitable, Store } from "./store.ts";
import type { Tracker } from "./tracker.ts";

/** Options of `createSessions` and `session`. All have defaults. */
export interface SessionsOptions<Data = SessionData> {
  /** The store that keeps the sessions. Default: {@link memoryStore}, which a restart empties. */
  readonly store?: Store;
  /** The tracker that carries ids between client and server. Default: {@link cookieTracker}. */
  readonly tracker?: Tracker;
  /**
   * The generator of ids. Default: {@link randomIds}. Must be absent beside a store that carries
   * its data.
   */
  readonly generator?: IdGenerator;
  /** Cookie name of the default tracker, without a prefix. Default: `sid`. */
  readonly name?: string;
  /**
   * A session ends this many milliseconds after its last use. Default: 30 minutes (OWASP Session
   * Management Cheat Sheet: 15 to 30 for low-risk applications).
   */
  readonly idleTimeout?: number;
  /**
   * A session ends this many milliseconds after its login (or creation), whatever happens.
   * `Infinity` is allowed. Default: 24 hours (NIST SP 800-63B-4, 2.2.3).
   */
  readonly absoluteTimeout?: number;
  /**
   * `eager` loads the session of every request that brings an id; `lazy` waits until the app asks
   * by `await ctx.session.load()` or {@link Sessions.preload}. Default: `eager`.
   */
  readonly load?: "eager" | "lazy";
  /** The session is `ctx[property]`. Default: `session`. */
  readonly property?: string;
  /** Called when an id was generated for a new session, before it is stored; may set values. */
  readonly onSessionNew?: (session: Session<Data>, ctx?: ExtendableContext) => Awaitable<void>;
  /** Called before a session is destroyed. If it fails, the session stays. */
  readonly onSessionRelease?: (released: ReleasedSession) => Awaitable<void>;
  /** Milliseconds until a call of the store counts as an outage (503). Default: 2,000. */
  readonly storeTimeout?: number;
  /**
   * The limit of live sessions per user, checked when a sign-in is stored. `refuse` rejects the
   * commit of one more with `ERR_SESSION_LIMIT` (409); `end-oldest` ends the longest unused.
   * `limit` is an integer from 1. A store that can't limit the sessions of an owner (the README of
   * each says so) refuses the option. Default: 100 with `end-oldest` on a store that can, no limit
   * elsewhere.
   */
  readonly maxSessionsPerUser?: {
    readonly limit: number;
    readonly overflow: "refuse" | "end-oldest";
  };
  /**
   * The description of the device that a session keeps from its sign-in, for lists. A store that can't
   * list keeps none. Default: the browser and its system, and no address.
   */
  readonly devices?: DevicesOptions;
  /**
   * Whether a request that only reads extends its session's idle time. Return `false` for what goes on
   * without the user: polling, reconnects, health checks (OWASP ASVS 5.0, 7.3.1). Default: each does.
   */
  readonly touch?: (ctx: ExtendableContext) => boolean;
}

const DAY = 24 * 60 * 60_000;

const RULES: Rules<SessionsOptions> = {
  store: withMethods(
    "a Store with load, create, commit and destroy, such as memoryStore()",
    "load",
    "create",
    "commit",
    "destroy",
  ),
  tracker: withMethods(
    "a Tracker with get, set and clear, such as cookieTracker()",
    "get",
    "set",
    "clear",
  ),
  generator: withMethods(
    "an IdGenerator with generate and isValid, such as randomIds()",
    "generate",
    "isValid",
  ),
  name: token,
  idleTimeout: duration(1000, 400 * DAY),
  absoluteTimeout: or(duration(1000, Infinity), Infinity),
  load: oneOf("eager", "lazy"),
  property,
  onSessionNew: func,
  onSessionRelease: func,
  storeTimeout: duration(1, MAX_TIMER),
  devices: DEVICES_RULE,
  touch: func,
  maxSessionsPerUser: nested<NonNullable<SessionsOptions["maxSessionsPerUser"]>>({
    limit: required(integer(1)),
    overflow: required(oneOf("refuse", "end-oldest")),
  }),
};

const COOKIE = "it belongs to the tracker: write tracker: cookieTracker({ … })";
/** The options of other packages, each with the replacement that the error names. */
const HINTS: Record<string, string> = {
  key: "write name",
  maxAge: "write idleTimeout and absoluteTimeout, or call session.persist(ms)",
  ttl: "write idleTimeout and absoluteTimeout",
  rolling: "a session that is used lives on by itself, up to absoluteTimeout",
  renew: "a session that is used lives on by itself, up to absoluteTimeout",
  resave: "only what changed is stored: leave it out",
  saveUninitialized: "an empty session is never stored: leave it out",
  autoCommit: "call session.commit() to store at once: leave it out",
  allowEmpty: "an empty session is never stored: leave it out",
  unset: "to end a session write await ctx.session.destroy()",
  valid: "write requireSession, or a middleware that calls ctx.session.destroy()",
  beforeSave: "write onSessionNew for what every session has",
  genid: "write generator",
  genSid: "write generator",
  sessionIdStore: "write tracker",
  externalKey: "write tracker: headerTracker({ name })",
  ContextStore: "write store",
  defer: "write load: 'lazy'",
  errorHandler: "an outage is thrown to Koa, as a 503: leave it out",
  reconnectTimeout: "write storeTimeout",
  secret: "ids need no signature; for one write tracker: cookieTracker({ keys: [secret] })",
  keys: "ids need no signature; for one write tracker: cookieTracker({ keys })",
  signed: "ids need no signature; for one write tracker: cookieTracker({ keys })",
  encode: "write store: sealedStore({ context, keys }) to keep sessions in the cookie",
  decode: "write store: sealedStore({ context, keys }) to keep sessions in the cookie",
  prefix: "a prefix of keys belongs to the store",
  proxy: "write app.proxy = true",
  httpOnly: "it is always on",
  overwrite: "it is always on",
  cookie: COOKIE,
  domain: COOKIE,
  path: COOKIE,
  secure: COOKIE,
  sameSite: COOKIE,
  partitioned: COOKIE,
};

/** Stores that carry their data and belong to a manager. */
const taken = new WeakSet<Store>();

/** Whether a store can hold the number of an owner's sessions to a limit. */
export function limitsOwners(store: Store): boolean {
  return isIndexed(store) && store.limitsOwners === true;
}

/** @throws TypeError or RangeError for an option that doesn't exist or can't be. */
export function validate<Data>(options: SessionsOptions<Data>): void {
  const owner = "createSessions";
  if (typeof (options as { callback?: unknown } | undefined)?.callback === "function") {
    throw new TypeError(
      `${owner}: takes options, and not the app: write app.use(createSessions().middleware())`,
    );
  }
  checkOptions(owner, options as unknown as SessionsOptions, RULES, HINTS);
  const { store, tracker, maxSessionsPerUser } = options;
  /** Refuses an option that is there. */
  const refuse = (option: keyof SessionsOptions, accepted: string): void =>
    checkValue(
      owner,
      option,
      options[option],
      value(accepted, () => false),
    );
  if (store?.carriesData) {
    refuse("generator", "left out: this store's ids are the sessions themselves");
  }
  if (tracker !== undefined) {
    refuse("name", "given to the tracker, since there is one: cookieTracker({ name })");
  }
  if (maxSessionsPerUser && store && !limitsOwners(store)) {
    throw new TypeError(
      `${owner}: maxSessionsPerUser needs a store that limits the sessions of an owner, such as memoryStore() or sqliteStore()`,
    );
  }
  if (!store?.carriesData) return;
  if (taken.has(store)) {
    throw new TypeError(
      `${owner}: store is used by another manager already: a session in a cookie would open as ` +
        "one of both kinds. Make a store of its own, with another context, for each",
    );
  }
  taken.add(store);
}
