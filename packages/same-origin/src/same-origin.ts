import { mismatchOf, shownHeader } from "@lanai/connection/origin";
import {
  type RefusalReason,
  type RequestOrigin,
  requestOriginOf,
  verdict,
} from "@lanai/connection/same-origin";
import type { ExtendableContext, Next } from "koa";
import { SameOriginError } from "./errors.ts";
import { events } from "./events.ts";
import { type SameOriginOptions, validate } from "./options.ts";

/**
 * Koa middleware that throws a {@link SameOriginError} for a state-changing request from another site.
 */
export type SameOriginMiddleware = (ctx: ExtendableContext, next: Next) => Promise<void>;

/**
 * Refuses state-changing requests from other sites (CSRF) with a 403, for the whole app, a group of
 * routes or one route. A request with another method than GET, HEAD, OPTIONS and TRACE passes
 *
 * 1. if its `Origin` is one of `origins`;
 * 2. else, if it has `Sec-Fetch-Site`: if that is `same-origin` or `none`;
 * 3. else, if it has `Origin`: if that is the origin that the request was sent to;
 * 4. else, if it has no cookie: it comes from no browser, and acts for nobody who is signed in.
 *
 * The upgrade to a WebSocket is a GET: `@lanai/websocket` checks its origin by itself.
 *
 * @throws TypeError for an option that doesn't exist or a list that holds no origin.
 */
export function sameOrigin(options: SameOriginOptions = {}): SameOriginMiddleware {
  validate(options);
  const allowed: ReadonlySet<string> = new Set(options.origins);
  return async (ctx, next) => {
    const from = requestOriginOf(ctx);
    const reason = verdict(from, allowed);
    if (reason !== undefined) refuse(reason, from);
    await next();
  };
}

function refuse(reason: RefusalReason, { origin, site, own }: RequestOrigin): never {
  events.report("refused", reason, {
    level: "warn",
    reason,
    message: `A state-changing request was refused. ${explain(reason, origin, own)}`,
    ...(site !== undefined && { site: shownHeader(site) }),
    ...(origin !== undefined && { got: shownHeader(origin) }),
    ...(own !== undefined && { expected: own }),
  });
  throw new SameOriginError("ERR_SAME_ORIGIN_REFUSED", "This request came from another site.", {
    status: 403,
    expose: true,
  });
}

function explain(
  reason: RefusalReason,
  origin: string | undefined,
  own: string | undefined,
): string {
  if (reason === "origin") return mismatchOf(origin ?? "", own).hint;
  if (reason === "site") {
    return "Its page is of another site or another origin, which the option origins can allow.";
  }
  return (
    "It has a cookie, and neither Sec-Fetch-Site nor Origin: a program must send Origin, and a proxy " +
    "must not remove the two headers."
  );
}
