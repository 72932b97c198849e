import { parse } from "node:querystring";
import { inspect } from "node:util";
import type { ExtendableContext } from "koa";
import { knownOptions } from "./known-options.ts";
import type { Tracker } from "./tracker.ts";

export interface QueryTrackerOptions {
  /** The name of the parameter. Default: `sid`. */
  readonly name?: string;
}

const MAX_LENGTH = 4096;
const UNRESERVED = /^[A-Za-z0-9\-._~]+$/;

/**
 * Reads the id from the URL (`?sid=…`), for clients that have nothing else: an `EventSource` of another
 * origin, a download that a foreign program fetches.
 *
 * **Avoid it where you can.** OWASP ASVS 5.0, 14.2.1: what is in a URL ends in logs, in histories and in
 * the `Referer` of the next request, and a link that is passed on passes the session on. Mount it on
 * the few routes that need it, behind {@link cookieTracker} or {@link headerTracker} in a `firstOf`.
 *
 * The server can't change a URL that a client has: the app renders `ctx.session.id` into its links
 * itself, `set` and a session that was found this way send `Referrer-Policy: no-referrer` (unless the
 * app has chosen a policy), and `clear` does nothing.
 *
 * A parameter that comes twice is refused as `ambiguous`, one of more than 4,096 characters as
 * `malformed`; an empty one is none. As a client presents no header, there is no `present` and nothing
 * to vary by.
 *
 * @throws TypeError if the name holds anything but letters, digits, `-`, `.`, `_` and `~`.
 */
export function queryTracker(options: QueryTrackerOptions = {}): Tracker {
  knownOptions("queryTracker", options, ["name"], { param: "write name", key: "write name" });
  const { name = "sid" } = options;
  if (typeof name !== "string" || !UNRESERVED.test(name)) {
    throw new TypeError(
      `queryTracker: name must be letters, digits, "-", ".", "_" and "~", got ${inspect(name)}`,
    );
  }

  return {
    get(ctx) {
      const id = parse(queryOf(ctx.req.url))[name];
      if (id === undefined || id === "") return undefined;
      if (typeof id !== "string") return { refused: "ambiguous" };
      return id.length > MAX_LENGTH ? { refused: "malformed" } : { id };
    },

    admit(ctx) {
      hideReferrer(ctx);
      return { status: "accept" };
    },

    set: hideReferrer,

    clear() {},
  };
}

/** Koa's own `ctx.query` throws for some absolute URLs that Node's parser lets pass. */
function queryOf(url = ""): string {
  const start = url.indexOf("?");
  if (start === -1) return "";
  const end = url.indexOf("#", start);
  return url.slice(start + 1, end === -1 ? undefined : end);
}

function hideReferrer(ctx: ExtendableContext): void {
  if (!ctx.res.hasHeader("Referrer-Policy")) ctx.res.setHeader("Referrer-Policy", "no-referrer");
}
