import { checkOptions, flag, property, type Rules, value } from "@lanai/connection/options";
import type { ExtendableContext, Next } from "koa";
import { impersonatedError } from "../request/impersonation.ts";
import { insufficientError, requiredError } from "../request/refusal.ts";
import type { RequestSession } from "../request/request-session.ts";
import { type Demand, METHODS_RULE } from "../request/sign-in-methods.ts";
import { Mount } from "./mount.ts";
import { returnPath } from "./return-path.ts";

/** Options of `requireSession`. Without any, it refuses requests that have no session. */
export interface RequireSessionOptions extends Demand {
  /** Asks for a signed-in user, not only for a session. Default: false; with `within` or `methods`, true. */
  readonly user?: boolean;
  /**
   * `false` refuses a request while somebody acts for the user (`session.impersonate`), with
   * `ERR_SESSION_IMPERSONATED` (403), also if there is a `redirect`. Default: such requests pass.
   */
  readonly impersonated?: false;
  /**
   * The redirect URL for requests that are refused, instead of a 401. `returnTo` is the path and
   * query of a GET or HEAD request, else `"/"`: always a path of this site (see `returnPath`).
   */
  readonly redirect?: string | ((ctx: ExtendableContext, returnTo: string) => string);
  /** The property of the session, if an app has several. Default: `session`. */
  readonly property?: string;
}

/**
 * Lets only requests pass that have a session (`{ user: true }`: a signed-in one), for a group or a
 * route. Loads a lazy session.
 *
 * @throws {SessionError} if no `redirect` is given: `ERR_SESSION_REQUIRED`, which Koa turns into a
 *   401 with `WWW-Authenticate` (RFC 9110, 15.5.2), or `ERR_SESSION_INSUFFICIENT` if the sign-in is
 *   older than `within` or lacks one of `methods`: a 401 with `insufficient_user_authentication` (RFC
 *   9470, 3).
 */
export function requireSession(
  options: RequireSessionOptions = {},
): (ctx: ExtendableContext, next: Next) => Promise<void> {
  validate(options);
  const { user, impersonated, redirect, property: name = "session", ...demand } = options;
  const asksForMore = demand.within !== undefined || demand.methods !== undefined;
  const needsUser = user ?? asksForMore;
  const mount = new Mount(name);

  return async (ctx, next) => {
    const request = mount.required(ctx);
    await request.load();
    request.accessed = true;
    request.mustBeReadable();
    const isThere = needsUser ? request.userId !== undefined : request.status === "live";
    if (impersonated === false && request.impersonator) throw impersonatedError();
    if (isThere && satisfies(request, demand)) return next();

    if (redirect !== undefined) {
      ctx.redirect(typeof redirect === "string" ? redirect : redirect(ctx, returnTo(ctx)));
      return;
    }
    const { tracker } = request.settings;
    if (isThere) throw insufficientError(name, tracker, demand);
    const message = needsUser ? "sign in first" : "there is no session";
    throw requiredError(message, name, tracker, request.refusal);
  };
}

const RULES: Rules<RequireSessionOptions> = {
  user: flag,
  within: {
    accepted: "a finite number of milliseconds from 1000",
    kind: (it) => typeof it === "number",
    fits: (it: number) => Number.isFinite(it) && it >= 1000,
  },
  methods: METHODS_RULE,
  impersonated: value("false, or left out", (it) => it === false),
  redirect: value(
    "a URL or a function",
    (it) => typeof it === "string" || typeof it === "function",
  ),
  property,
};

function validate(options: RequireSessionOptions): void {
  checkOptions("requireSession", options, RULES);
  const { user, within, methods } = options;
  if (user === false && (within !== undefined || methods !== undefined)) {
    throw new TypeError(
      "requireSession: within and methods ask for a signed-in user: leave out user: false",
    );
  }
}

function satisfies(request: RequestSession, { within, methods = [] }: Demand): boolean {
  if (within !== undefined) {
    const { authenticatedAt, now } = request;
    if (authenticatedAt === undefined || now - authenticatedAt > within) return false;
  }
  return methods.every((it) => request.methods.includes(it));
}

function returnTo(ctx: ExtendableContext): string {
  const isRead = ctx.method === "GET" || ctx.method === "HEAD";
  return isRead ? returnPath(ctx.originalUrl) : "/";
}
