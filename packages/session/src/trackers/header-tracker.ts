import { checkOptions, type Rules, TOKEN, text } from "@lanai/connection/options";
import { SessionError } from "../errors.ts";
import type { Tracker } from "../tracker.ts";

/** Options of `headerTracker`. */
export interface HeaderTrackerOptions {
  /** The name of the header, in requests and in responses. Default: `Session-ID`. */
  readonly name?: string;
}

const MAX_LENGTH = 4096;
const TAKEN = /^(cookie|set-cookie|authorization)$/i;

const RULES: Rules<HeaderTrackerOptions> = {
  name: text(
    "a token of RFC 9110 other than Cookie, Set-Cookie and Authorization",
    (it) => TOKEN.test(it) && !TAKEN.test(it),
  ),
};

/**
 * Keeps the id in a header of the same name in both directions, for clients that aren't browsers
 * and for scripts that hold the id themselves. It needs no key. Where a script can read the id, so
 * can an injected one: prefer {@link cookieTracker} in a browser.
 *
 * An empty header is no id: that is how {@link Tracker.clear} sends it. Node joins a repeated
 * header with a comma, so one with a comma is refused as `malformed`, as is one of more than 4,096
 * characters. A token in a socket's first message replaces the header.
 *
 * Across origins the app has to list the header in `Access-Control-Allow-Headers` and in
 * `Access-Control-Expose-Headers`.
 *
 * @throws TypeError if the name is no token of RFC 9110, 5.6.2, or is that of a header with a
 *   meaning of its own: `Cookie` and `Set-Cookie` are the cookie tracker's, `Authorization` is not
 *   for responses.
 */
export function headerTracker(options: HeaderTrackerOptions = {}): Tracker {
  checkOptions("headerTracker", options, RULES, { header: "write name", key: "write name" });
  const { name = "Session-ID" } = options;
  const field = name.toLowerCase();

  return {
    vary: name,

    get(ctx, text) {
      const id = text ?? ctx.req.headers[field];
      if (id === undefined || id === "") return [];
      if (typeof id !== "string" || id.length > MAX_LENGTH || id.includes(",")) {
        return [{ refused: "malformed" }];
      }
      return [{ id }];
    },

    set(ctx, id) {
      if (id.length > MAX_LENGTH) {
        throw new SessionError(
          "ERR_SESSION_TOO_LARGE",
          `the header ${name} has ${id.length} bytes, and ${MAX_LENGTH} are read at most`,
        );
      }
      ctx.res.setHeader(name, id);
    },

    clear(ctx) {
      ctx.res.setHeader(name, "");
    },

    present: (id) => ({ [field]: id }),
  };
}
