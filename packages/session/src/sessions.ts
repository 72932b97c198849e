import { randomBytes } from "node:crypto";
import type { ExtendableContext, Next } from "koa";
import { SessionError } from "./errors.ts";
import { events } from "./events.ts";
import { randomIds } from "./ids/random-ids.ts";
import { isIndexed } from "./indexed-store.ts";
import { AllSessions } from "./manager/all-sessions.ts";
import { callsWithin, isPromise } from "./manager/call-store.ts";
import { Ends, type SessionEnd } from "./manager/ends.ts";
import { Mount } from "./manager/mount.ts";
import { OwnEnds } from "./manager/own-ends.ts";
import { OwnedSessions, type SessionOwner, type SessionSummary } from "./manager/owned-sessions.ts";
import type { SessionSettings } from "./manager/settings.ts";
import { limitsOwners, type SessionsOptions, validate } from "./options.ts";
import { openSession } from "./request/recognition.ts";
import { RequestSession } from "./request/request-session.ts";
import type { Session, SessionData } from "./session.ts";
import type { Awaitable, Store } from "./store.ts";
import { memoryStore } from "./stores/memory-store.ts";
import { cookieTracker } from "./trackers/cookie-tracker.ts";

const MINUTE = 60_000;
const MAX_SESSIONS_PER_USER = { limit: 100, overflow: "end-oldest" } as const;

/** Options of `sessions.create`: a user, values, or both. */
export interface CreateSessionOptions<Data = SessionData> {
  /** Who is signed in. */
  readonly userId?: string;
  /** The values to set. Without a user there must be at least one. */
  readonly values?: Partial<Data> & Record<string, unknown>;
  /** Present the id as to an HTTPS server. Default: false. */
  readonly secure?: boolean;
}

/** The result of receiving a token that came another way. */
export type Received<Data = SessionData> =
  /** `headers`: set if the client must send another token from now on. */
  | { readonly session: Session<Data>; readonly headers?: Record<string, string> }
  /** `reason`: a word that may be shown. `closeCode`: the code to close the socket with. */
  | { readonly session?: undefined; readonly reason: string; readonly closeCode: number };

declare module "koa" {
  interface ExtendableContext {
    /** The session of this request, where `session()` or `sessions.middleware()` is mounted. */
    session: Session;
  }
}

/**
 * Koa middleware that puts `ctx.session`, or another property, on each context, and stores it before
 * the response.
 */
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
   * Stores a new session, and resolves to the request headers by which a client presents it: for an
   * app's own tests, and for clients that are no browsers.
   */
  create(
    options?: CreateSessionOptions<Data>,
  ): Promise<{ session: Session<Data>; headers: Record<string, string> }>;
  /** Whether the store can find sessions by owner, which the next four need. */
  readonly isIndexed: boolean;
  /** The live sessions of an owner. */
  list(of: SessionOwner): Promise<SessionSummary[]>;
  /**
   * Names the device of one session of an owner, as `session.labelDevice` does that of the request's own.
   * The session isn't used by it.
   *
   * @returns `false` if the owner has no such session.
   * @throws TypeError for a label that can't be.
   */
  labelDevice(of: SessionOwner, publicId: string, label: string): Promise<boolean>;
  /** Ends one session of an owner. `false`: the owner has no such session. */
  destroyByPublicId(of: SessionOwner, publicId: string): Promise<boolean>;
  /** Ends all sessions of an owner, but the one with the public id `except`. */
  destroyAll(of: SessionOwner, options?: { except?: string | undefined }): Promise<number>;
  /**
   * Ends every session that exists now, whosever it is, in small steps that hold nobody up: for maintenance
   * and after a breach (OWASP ASVS 5.0, 7.4.5). Each end is reported, so live connections end too. If it
   * rejects, what was ended stays ended; call it again for the rest.
   *
   * @throws {SessionError} `ERR_SESSION_NOT_PAGED` for a store that can't go through its sessions.
   */
  destroyAll(everyone: { readonly everyone: true }): Promise<number>;
  /** Counts the live sessions, in small steps: roughly, while others begin and end. */
  count(): Promise<number>;
  /**
   * The live sessions, loaded a page at a time. One that lives throughout comes at least once; on Redis one
   * that is renewed meanwhile may be missing, and one may come twice.
   */
  all(): AsyncIterable<SessionSummary>;
  /**
   * Calls `listener` for every session that this process ends and every id that it renews, and awaits it.
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
  const mount = new Mount(property);
  const ownEnds = new OwnEnds();
  const { onEnded } = ownEnds;

  const operation = operations();
  const calls = callsWithin(store, storeTimeout, (error) =>
    events.emit("unavailable", { level: "error", property, error }),
  );
  const { callStore } = calls;
  const ends = new Ends(
    property,
    options.onSessionRelease,
    (stored) => new RequestSession(settings, undefined, stored).session,
    async (owner, publicId) => {
      if (!isIndexed(store)) return undefined;
      const ended = await callStore(() => store.destroyByPublicId(owner, publicId, operation()));
      if (ended) onEnded(publicId);
      return ended;
    },
  );
  const settings: SessionSettings = {
    store,
    tracker:
      options.tracker ?? cookieTracker(options.name === undefined ? {} : { name: options.name }),
    generator: options.generator ?? randomIds(),
    idleTimeout: options.idleTimeout ?? 30 * MINUTE,
    absoluteTimeout: options.absoluteTimeout ?? 24 * 60 * MINUTE,
    property,
    onSessionNew: options.onSessionNew as unknown as SessionSettings["onSessionNew"],
    maxSessionsPerUser: limitsOwners(store)
      ? (options.maxSessionsPerUser ?? MAX_SESSIONS_PER_USER)
      : undefined,
    touch: options.touch ?? (() => true),
    devices: isIndexed(store) ? (options.devices ?? {}) : undefined,
    ...calls,
    operation,
    ends,
    ownEnds,
  };

  const sessionOf = (request: RequestSession) => request.session as unknown as Session<Data>;
  const owned = new OwnedSessions({ store, callStore, operation, ends, onEnded });
  const everyone = new AllSessions({ store, callStore, operation, ends, onEnded });

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
      const request = new RequestSession(settings, ctx);
      mount.set(ctx, request);
      if (load === "eager") {
        const loading = request.load();
        if (isPromise(loading)) await loading;
      }
      try {
        await (load === "lazy" || request.isOwned ? ownEnds.run(request, next) : next());
      } catch (error) {
        await finishFailed(request, ctx, error);
        throw error;
      }
      const finishing = request.finish();
      if (isPromise(finishing)) await finishing;
    },

    preload: () => async (ctx, next) => {
      await mount.required(ctx).load();
      return next();
    },

    from(ctx) {
      const request = mount.required(ctx);
      request.accessed = true;
      return sessionOf(request);
    },

    async open(id) {
      const stored = await openSession(settings, id);
      return stored && sessionOf(new RequestSession(settings, undefined, stored));
    },

    async receive(ctx, token) {
      const request = new RequestSession(settings);
      const reissue = await request.receive(ctx, token);
      request.mustBeReadable();
      const { status, refusal, record, id } = request;
      if (status === "renewed") return { reason: "renewed", closeCode: 4403 };
      if (record === undefined || id === undefined) {
        const { shown, reason = "missing", closeCode = 4401 } = refusal ?? {};
        return { reason: shown ?? reason, closeCode };
      }
      const session = sessionOf(request);
      if (!reissue) return { session };
      const { secure } = ctx;
      const headers = await settings.tracker.present?.(id, { secure, record, ctx });
      return { session, ...(headers && { headers }) };
    },

    async create({ userId, values = {}, secure = false } = {}) {
      const session = sessionOf(new RequestSession(settings));
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
    list: (of) => owned.list(of),
    labelDevice: (of, publicId, label) => owned.label(of, publicId, label),
    destroyByPublicId: (of, publicId) => owned.destroyByPublicId(of, publicId),
    destroyAll: (of: SessionOwner | { everyone: true }, { except }: { except?: string } = {}) =>
      "everyone" in of
        ? ownEnds.endEveryone(() => everyone.destroy())
        : owned.destroyAll(of, except),
    count: () => everyone.count(),
    all: () => everyone.list(),
    onEnd: (listener) => ends.listen(listener),

    async close() {
      await store.close?.();
    },
  };
}

async function finishFailed(
  request: RequestSession,
  ctx: ExtendableContext,
  error: unknown,
): Promise<void> {
  try {
    await request.finishFailed(error);
  } catch (failure) {
    // The app's own error is the one to be seen.
    if (failure !== error) ctx.app.emit("error", failure, ctx);
  }
}

/** `createSessions(options).middleware()`: sessions in one line. */
export function session(options?: SessionsOptions): SessionMiddleware {
  return createSessions(options).middleware();
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
