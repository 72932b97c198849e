import type { ExtendableContext, Next } from "koa";
import { type BoundDevice, boundDevice } from "./binding.ts";
import { BoundCookie, Macs } from "./bound-cookie.ts";
import { BoundError } from "./errors.ts";
import { BoundListeners, type LiveClients } from "./listeners.ts";
import {
  type BoundSessionsOptions,
  checkRequireBound,
  type RequireBoundOptions,
  type RequirePolicy,
  settingsOf,
} from "./options.ts";
import { Protocol } from "./protocol.ts";
import { entriesOf, type Unbound, Visit } from "./visit.ts";

/** Koa middleware that checks the proof of a bound session, or that a session is bound. */
export type BoundMiddleware = (ctx: ExtendableContext, next: Next) => Promise<void>;

/** The middleware of `boundSessions()`, with the functions that belong to it. */
export interface BoundSessions<C extends LiveClients = LiveClients> extends BoundMiddleware {
  /**
   * Returns the device that the request's session is bound to, or `undefined` if the session isn't
   * bound.
   */
  deviceOf(ctx: ExtendableContext): BoundDevice | undefined;
  /**
   * The clients of the option `clients`. If you attach a listener with it, the listener's page receives
   * the event `bound` and can extend its connection.
   *
   * @throws TypeError if `clients` was not given.
   */
  readonly clients: C;
}

/** Key of the visit on the context. Registered, so that two copies of this package share it. */
const VISIT = Symbol.for("lanai.bound");
type Visited = ExtendableContext & { [VISIT]?: Visit };

const UNBOUND: Readonly<Record<RequirePolicy, Unbound | undefined>> = {
  "if-bound": "allow",
  always: "signing-in",
  "by-route": undefined,
};

/**
 * Binds sessions to a key in the user's device (Device Bound Session Credentials). When a user signs in,
 * the response offers the browser to register a key. From then on a request with the session's cookie
 * alone is refused. Mount it after `sessions.middleware()`, at any level; the requests below `path` must
 * reach it too.
 *
 * A live connection ends when the bound cookie of its handshake has expired: a WebSocket is closed with
 * 4403, an event stream ends with a `retry`.
 *
 * @throws TypeError or RangeError for an unknown option or an invalid value.
 */
export function boundSessions<C extends LiveClients = LiveClients>(
  options: BoundSessionsOptions<C>,
): BoundSessions<C> {
  const settings = settingsOf(options);
  const { sessions, clients, require, exclude, path, grace, clock } = settings;
  const macs = new Macs(settings.keys);
  const cookie = new BoundCookie({ name: settings.name, lifetime: settings.lifetime, macs });
  const visits = new WeakMap<ExtendableContext, Visit>();
  const listeners =
    clients &&
    new BoundListeners({
      ...{ clients, macs, grace, clock, path: `${path}/extend` },
      extendable: (ctx) => visits.get(ctx)?.extendable,
    });
  const protocol = new Protocol({ ...settings, cookie, listeners });
  const unbound = UNBOUND[require];

  const middleware: BoundMiddleware = async (ctx, next) => {
    if (visits.has(ctx)) return next();
    const session = await sessions.from(ctx).load();
    const visit = new Visit(ctx, session, settings, cookie);
    visits.set(ctx, visit);
    (ctx as Visited)[VISIT] = visit;
    const asked = pathOf(ctx);
    const step = protocol.stepFor(ctx, asked);
    if (step) {
      // Other sites must not learn by embedding it who is signed in (DBSC, security considerations).
      ctx.set("Cross-Origin-Resource-Policy", "same-origin");
      return step(ctx, visit);
    }
    if (unbound !== undefined && !isBelow(exclude, asked)) visit.check(unbound);
    try {
      await next();
    } catch (error) {
      await visit.leave(true);
      throw error;
    }
    await visit.leave(false);
  };

  return Object.defineProperty(
    Object.assign(middleware, {
      deviceOf: (ctx: ExtendableContext) =>
        boundDevice(entriesOf(sessions.from(ctx)).get("device")),
    }),
    "clients",
    {
      get() {
        if (listeners) return listeners.clients;
        throw new TypeError("boundSessions: give the option clients to use bound.clients");
      },
    },
  ) as BoundSessions<C>;
}

/**
 * Refuses requests whose session isn't bound, or that don't prove it with a fresh bound cookie; for a
 * group of routes or one route. A WebSocket or event stream behind it ends when that cookie has expired.
 * Mount it after `boundSessions()`.
 *
 * @throws {BoundError} `ERR_BOUND_PROOF` or `ERR_BOUND_REQUIRED`, with status 401.
 */
export function requireBound(options: RequireBoundOptions = {}): BoundMiddleware {
  checkRequireBound(options);
  const { unbound = "refuse" } = options;
  return async (ctx, next) => {
    const visit = (ctx as Visited)[VISIT];
    if (visit === undefined) {
      throw new BoundError(
        "ERR_BOUND_NO_MIDDLEWARE",
        "requireBound() needs boundSessions() before it, after sessions.middleware()",
      );
    }
    visit.check(unbound);
    return next();
  };
}

/** Returns the path that the browser sent: a router or koa-mount may have shortened `ctx.path`. */
const pathOf = (ctx: ExtendableContext): string => ctx.originalUrl.replace(/[?#].*$/s, "");

/**
 * Returns whether a path is one of these folders or below one. Encoded and dotted paths are below
 * nothing, because other software might read them as another path.
 */
const isBelow = (folders: readonly string[], path: string): boolean =>
  /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]*)+$/.test(path) &&
  !path.includes("//") &&
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
