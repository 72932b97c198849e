import { parse } from "node:querystring";
import { checkOptions, type Rules, text } from "@lanai/connection/options";
import type { ExtendableContext } from "koa";
import type { Tracker } from "../tracker.ts";

/** Options of `queryTracker`. */
export interface QueryTrackerOptions {
  /** The name of the parameter. Default: `sid`. */
  readonly name?: string;
}

const MAX_LENGTH = 4096;
const UNRESERVED = /^[A-Za-z0-9\-._~]+$/;

const RULES: Rules<QueryTrackerOptions> = {
  name: text('letters, digits, "-", ".", "_" and "~"', UNRESERVED),
};

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
 * A parameter of more than 4,096 characters is refused as `malformed`; an empty one is none. If it comes
 * several times, each value is a token. As a client presents no header, there is no `present` and nothing
 * to vary by.
 *
 * @throws TypeError if the name holds anything but letters, digits, `-`, `.`, `_` and `~`.
 */
export function queryTracker(options: QueryTrackerOptions = {}): Tracker {
  checkOptions("queryTracker", options, RULES, { param: "write name", key: "write name" });
  const { name = "sid" } = options;

  return {
    get(ctx) {
      const id = parse(queryOf(ctx.req.url))[name];
      const values = id === undefined ? [] : [id].flat();
      return values
        .filter((value) => value !== "")
        .map((value) => (value.length > MAX_LENGTH ? { refused: "malformed" } : { id: value }));
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
