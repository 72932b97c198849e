import type { ExtendableContext, Next } from "koa";
import { knownOptions } from "./known-options.ts";
import { Mount } from "./mount.ts";
import { requiredError } from "./refusal.ts";

export interface RequireSessionOptions {
  /** Ask for a signed-in user, not only for a session. Default: false. */
  readonly user?: boolean;
  /** Where to send those who have none, instead of a 401. */
  readonly redirect?: string | ((ctx: ExtendableContext) => string);
  /** Which session, where an app has several. Default: `session`. */
  readonly property?: string;
}

/**
 * Lets only requests pass that have a session (`{ user: true }`: a signed-in one), for a group or a
 * route. Loads a lazy session.
 *
 * @throws {SessionError} `ERR_SESSION_REQUIRED`, which Koa answers as a 401 with `WWW-Authenticate`
 *   (RFC 9110, 15.5.2), where no `redirect` is given.
 */
export function requireSession(
  options: RequireSessionOptions = {},
): (ctx: ExtendableContext, next: Next) => Promise<void> {
  knownOptions("requireSession", options, ["user", "redirect", "property"]);
  const { user = false, redirect, property = "session" } = options;
  const mount = new Mount(property);

  return async (ctx, next) => {
    const work = mount.required(ctx);
    await work.load();
    work.accessed = true;
    if (user ? work.userId !== undefined : work.status === "live") return next();

    if (redirect !== undefined) {
      ctx.redirect(typeof redirect === "string" ? redirect : redirect(ctx));
      return;
    }
    const message = user ? "sign in first" : "there is no session";
    throw requiredError(message, property, work.settings.tracker, work.refusal);
  };
}
