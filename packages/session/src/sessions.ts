import { randomBytes } from "node:crypto";
import type { ExtendableContext, Next } from "koa";
import { decode } from "./codec.ts";
import { cookieTracker } from "./cookie-tracker.ts";
import { SessionError } from "./errors.ts";
import { publish } from "./events.ts";
import type { IdGenerator } from "./id-generator.ts";
import { type IndexedStore, isIndexed } from "./indexed-store.ts";
import { knownOptions } from "./known-options.ts";
import { memoryStore } from "./memory-store.ts";
import { Mount } from "./mount.ts";
import { randomIds } from "./random-ids.ts";
import type { Session, SessionData } from "./session.ts";
import { type ReleasedSession, type SessionSettings, SessionWork, USER } from "./session-work.ts";
import { type Awaitable, type Ended, expiresAt, type SessionRecord, type Store } from "./store.ts";
import { isPromise, storeGuard } from "./store-guard.ts";
import type { Tracker } from "./tracker.ts";

export interface SessionsOptions<Data = SessionData> {
  /** Where sessions live. Default: {@link memoryStore}, which a restart empties. */
  readonly store?: Store;
  /** How ids travel. Default: {@link cookieTracker}. */
  readonly tracker?: Tracker;
  /** Where ids come from. Default: {@link randomIds}. None beside a store that carries its data. */
  readonly generator?: IdGenerator;
  /** Of the default tracker's cookie, without a prefix. Default: `sid`. */
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
}

const OPTIONS = [
  "store",
  "tracker",
  "generator",
  "name",
  "idleTimeout",
  "absoluteTimeout",
  "load",
  "property",
  "onSessionNew",
  "onSessionRelease",
  "storeTimeout",
] as const satisfies readonly (keyof SessionsOptions)[];

const COOKIE = "it belongs to the tracker: write tracker: cookieTracker({ … })";
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
  encode: "write store: sealedStore({ keys }) to keep sessions in the cookie",
  decode: "write store: sealedStore({ keys }) to keep sessions in the cookie",
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

const MINUTE = 60_000;

/** By whom sessions are found: a user, as given to `login`, or any owner. */
export type Whose = { readonly user: string } | { readonly owner: string };

/** A session in a list: what may be shown to its user, and no secret. */
export interface SessionSummary {
  readonly publicId: string;
  readonly userId: string | undefined;
  readonly owners: ReadonlySet<string>;
  readonly createdAt: Date;
  readonly seenAt: Date;
  readonly expiresAt: Date;
}

export interface SessionEnd {
  readonly publicId: string;
  readonly owners: ReadonlySet<string>;
  /** `renewed`: the session lives, its old id doesn't. */
  readonly reason: "destroyed" | "renewed";
}

export interface CreateSessionOptions<Data = SessionData> {
  /** Who is signed in. */
  readonly userId?: string;
  /** What is set. Without a user there must be something. */
  readonly values?: Partial<Data> & Record<string, unknown>;
  /** Present the id as to an HTTPS server. Default: false. */
  readonly secure?: boolean;
}

/** What became of a token that came another way. */
export type Received<Data = SessionData> =
  /** `headers`: what the client is to send from now on, where that is no longer what it sent. */
  | { readonly session: Session<Data>; readonly headers?: Record<string, string> }
  /** `reason`: what may be told. `closeCode`: with which to close the socket. */
  | { readonly session?: undefined; readonly reason: string; readonly closeCode: number };

declare module "koa" {
  interface ExtendableContext {
    /** The session of this request, where `session()` or `sessions.middleware()` is mounted. */
    session: Session;
  }
}

export type SessionMiddleware = (ctx: ExtendableContext, next: Next) => Promise<void>;

/** The sessions of an app: made once, mounted anywhere. */
export interface Sessions<Data = SessionData> {
  /**
   * For the whole app, a group of routes or one route. Mounted at several levels, the session is
   * loaded once and saved once, by the outermost.
   */
  middleware(): SessionMiddleware;
  /** Loads a lazy session, for a group or a route. */
  preload(): SessionMiddleware;
  /** The session of a request, typed. */
  from(ctx: ExtendableContext): Session<Data>;
  /**
   * The live session with this id, outside a request (a socket's handler, a job); its `commit` never
   * sends anything. `undefined`: there is none.
   */
  open(id: string): Promise<Session<Data> | undefined>;
  /**
   * The session that a token names which came another way than in the request's headers, in the first
   * message of the socket that `ctx` asked for, say. Nothing is sent, and it can be written to for as
   * long as it lives.
   */
  receive(ctx: ExtendableContext, token: string): Promise<Received<Data>>;
  /**
   * Stores a new session, and tells the request headers by which a client presents it: for an app's
   * own tests, and for clients that are no browsers.
   */
  create(
    options?: CreateSessionOptions<Data>,
  ): Promise<{ session: Session<Data>; headers: Record<string, string> }>;
  /** Whether the store can find sessions by owner, which the next three need. */
  readonly isIndexed: boolean;
  /** The live sessions of an owner. */
  list(whose: Whose): Promise<SessionSummary[]>;
  /** Ends one session of an owner. `false`: the owner has no such session. */
  destroyByPublicId(whose: Whose, publicId: string): Promise<boolean>;
  /** Ends all sessions of an owner, but the one with the public id `except`. */
  destroyAll(whose: Whose, options?: { except?: string | undefined }): Promise<number>;
  /**
   * Tells of every session that this process ends and every id that it renews, and is awaited.
   *
   * @returns A function that stops it.
   */
  onEnd(listener: (end: SessionEnd) => Awaitable<void>): () => void;
  /** Closes the store. */
  close(): Promise<void>;
}

/**
 * Makes the sessions of an app.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function createSessions<Data = SessionData>(
  options: SessionsOptions<Data> = {},
): Sessions<Data> {
  validate(options);
  const { load = "eager", property = "session", storeTimeout = 2_000 } = options;
  const store = options.store ?? defaultStore();
  const listeners = new Set<(end: SessionEnd) => Awaitable<void>>();
  const mount = new Mount(property);

  const ask = storeGuard(storeTimeout, (error) =>
    publish("unavailable", { level: "error", property, error }),
  );
  const ended = async ({ publicId, owners }: Ended, reason: SessionEnd["reason"]) => {
    if (reason === "destroyed") publish("destroyed", { level: "info", property, publicId });
    for (const listener of listeners) {
      try {
        await listener({ publicId, owners, reason });
      } catch (error) {
        process.emitWarning(`a listener of sessions.onEnd failed: ${error}`);
      }
    }
  };
  const settings: SessionSettings = {
    store,
    tracker:
      options.tracker ?? cookieTracker(options.name === undefined ? {} : { name: options.name }),
    generator: options.generator ?? randomIds(),
    idleTimeout: options.idleTimeout ?? 30 * MINUTE,
    absoluteTimeout: options.absoluteTimeout ?? 24 * 60 * MINUTE,
    property,
    onSessionNew: options.onSessionNew as unknown as SessionSettings["onSessionNew"],
    onSessionRelease: options.onSessionRelease,
    ask,
    operation: operations(),
    ended,
  };

  const faceOf = (work: SessionWork) => work.session as unknown as Session<Data>;
  const indexed = (): IndexedStore => {
    if (isIndexed(store)) return store;
    throw new SessionError(
      "ERR_SESSION_NOT_INDEXED",
      "this store can't find sessions by owner: use one that can, such as memoryStore()",
    );
  };
  /** Before an end by owner or public id; the sessions that come while this runs are ended too. */
  const release = async (owner: string, ends: (record: SessionRecord) => boolean) => {
    if (!options.onSessionRelease) return;
    const index = indexed();
    const records = await ask(() => index.list(owner));
    for (const { publicId, owners } of records.filter(ends)) {
      await options.onSessionRelease({ publicId, owners });
    }
  };

  return {
    middleware: () => async (ctx, next) => {
      const mounted = mount.get(ctx);
      if (mounted) {
        if (mounted.settings === settings) return next();
        throw new SessionError(
          "ERR_SESSION_PROPERTY_TAKEN",
          `another manager has put its session at ctx.${property}: give one of them another property`,
        );
      }
      const work = new SessionWork(settings, ctx);
      mount.set(ctx, work);
      if (load === "eager") {
        const loading = work.load();
        if (isPromise(loading)) await loading;
      }
      try {
        await next();
      } catch (error) {
        try {
          await work.finishFailed();
        } catch (failure) {
          // The app's own error is the one to be seen.
          if (failure !== error) ctx.app.emit("error", failure, ctx);
        }
        throw error;
      }
      const finishing = work.finish();
      if (isPromise(finishing)) await finishing;
    },

    preload: () => async (ctx, next) => {
      await mount.required(ctx).load();
      return next();
    },

    from(ctx) {
      const work = mount.required(ctx);
      work.accessed = true;
      return faceOf(work);
    },

    async open(id) {
      const { carriesData } = store;
      if (!(carriesData ?? settings.generator).isValid(id)) return undefined;
      const work = new SessionWork(settings);
      await work.find(id);
      return work.status === "live" ? faceOf(work) : undefined;
    },

    async receive(ctx, token) {
      const work = new SessionWork(settings);
      await work.receive(ctx, token);
      const { status, refusal, record, id } = work;
      if (status === "renewed") return { reason: "renewed", closeCode: 4403 };
      if (status !== "live" || record === undefined || id === undefined) {
        const { shown, reason = "missing", closeCode = 4401 } = refusal ?? {};
        return { reason: shown ?? reason, closeCode };
      }
      if (!work.isToBeSent) return { session: faceOf(work) };
      const { secure } = ctx;
      const headers = await settings.tracker.present?.(id, { secure, record, ctx });
      return { session: faceOf(work), ...(headers && { headers }) };
    },

    async create({ userId, values = {}, secure = false } = {}) {
      const work = new SessionWork(settings);
      work.status = "new";
      const session = faceOf(work);
      for (const [key, value] of Object.entries(values)) session.set(key, value as never);
      if (userId !== undefined) session.login(userId);
      await session.commit();
      const { id } = session;
      if (id === undefined)
        throw new TypeError(
          "create(options) takes a userId or values: an empty session is never stored",
        );
      const headers = (await settings.tracker.present?.(id, { secure })) ?? {};
      return { session, headers };
    },

    isIndexed: isIndexed(store),

    async list(whose) {
      const index = indexed();
      const records = await ask(() => index.list(ownerOf(whose)));
      return records.map(summary);
    },

    async destroyByPublicId(whose, publicId) {
      const index = indexed();
      const owner = ownerOf(whose);
      await release(owner, (record) => record.publicId === publicId);
      const end = await ask(() => index.destroyByPublicId(owner, publicId));
      if (end) await ended(end, "destroyed");
      return end !== undefined;
    },

    async destroyAll(whose, { except } = {}) {
      const index = indexed();
      const owner = ownerOf(whose);
      await release(owner, (record) => record.publicId !== except);
      const ends = await ask(() => index.destroyAll(owner, except === undefined ? {} : { except }));
      for (const end of ends) await ended(end, "destroyed");
      return ends.length;
    },

    onEnd(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    async close() {
      await store.close?.();
    },
  };
}

/** `createSessions(options).middleware()`: sessions in one line. */
export const session = (options?: SessionsOptions): SessionMiddleware =>
  createSessions(options).middleware();

const ownerOf = (whose: Whose): string => ("user" in whose ? `user:${whose.user}` : whose.owner);

function summary(record: SessionRecord): SessionSummary {
  const { publicId, owners, createdAt, seenAt, values } = record;
  const user = values.get(USER);
  return {
    publicId,
    owners,
    userId: user === undefined ? undefined : (decode(user, USER) as string),
    createdAt: new Date(createdAt),
    seenAt: new Date(seenAt),
    expiresAt: new Date(expiresAt(record)),
  };
}

/** Names of calls: unique between processes by their beginning, and within one by a count. */
function operations(): () => string {
  const process = randomBytes(12).toString("base64url");
  let count = 0;
  return () => {
    count++;
    return `${process}.${count}`;
  };
}

let warned = false;

function defaultStore(): Store {
  if (process.env.NODE_ENV === "production" && !warned) {
    warned = true;
    process.emitWarning(
      "@lanai/session keeps sessions in memory: a restart signs everybody out, and other processes " +
        "don't see them. Give createSessions a store, or memoryStore() if that is meant.",
    );
  }
  return memoryStore();
}

function validate<Data>(options: SessionsOptions<Data>): void {
  knownOptions("createSessions", options, OPTIONS, HINTS);
  const { store, tracker, generator, name, load, property } = options;
  const refuse = (option: keyof SessionsOptions, accepted: string): never => {
    const got =
      typeof options[option] === "string" ? `"${options[option]}"` : typeof options[option];
    throw new TypeError(`createSessions: ${option} must be ${accepted}, got ${got}`);
  };
  const has = (value: unknown, ...methods: string[]): boolean =>
    typeof value === "object" &&
    value !== null &&
    methods.every((it) => typeof (value as Record<string, unknown>)[it] === "function");

  if (store !== undefined && !has(store, "load", "create", "commit", "destroy")) {
    refuse("store", "a Store with load, create, commit and destroy, such as memoryStore()");
  }
  if (tracker !== undefined && !has(tracker, "get", "set", "clear")) {
    refuse("tracker", "a Tracker with get, set and clear, such as cookieTracker()");
  }
  if (generator !== undefined && !has(generator, "generate", "isValid")) {
    refuse("generator", "an IdGenerator with generate and isValid, such as randomIds()");
  }
  if (generator !== undefined && store?.carriesData) {
    refuse("generator", "left out: this store's ids are the sessions themselves");
  }
  if (name !== undefined && tracker !== undefined) {
    refuse("name", "given to the tracker, since there is one: cookieTracker({ name })");
  }
  if (load !== undefined && load !== "eager" && load !== "lazy")
    refuse("load", "'eager' or 'lazy'");
  if (property !== undefined && !/^[A-Za-z_$][\w$]*$/.test(property)) {
    refuse("property", "a name such as 'session'");
  }
  for (const option of ["onSessionNew", "onSessionRelease"] as const) {
    const { [option]: hook } = options;
    if (hook !== undefined && typeof hook !== "function") refuse(option, "a function");
  }
  duration("idleTimeout", options.idleTimeout, 1000, 400 * 24 * 60 * MINUTE);
  duration("absoluteTimeout", options.absoluteTimeout, 1000, Number.POSITIVE_INFINITY);
  duration("storeTimeout", options.storeTimeout, 1, 2 ** 31 - 1);
}

function duration(option: string, value: unknown, least: number, most: number): void {
  if (value === undefined || (typeof value === "number" && value >= least && value <= most)) return;
  throw new RangeError(
    `createSessions: ${option} must be a number of milliseconds from ${least} to ${most}, got ${String(value)}`,
  );
}
