import {
  checkOptions,
  flag,
  oneOf,
  type Rules,
  text,
  token,
  value,
} from "@lanai/connection/options";
import type { SecretKey } from "../secret-key.ts";

/** Options of `cookieTracker`. */
export interface CookieTrackerOptions {
  /** The cookie's name, without a prefix: `__Host-Http-` or `__Secure-` is added by itself. Default: `sid`. */
  readonly name?: string;
  /** Shares the cookie with all hosts under this one; with it the prefix is `__Secure-`. */
  readonly domain?: string;
  /** The `Path` of the cookie; with any other than the default, `/`, the prefix is `__Secure-`. */
  readonly path?: string;
  /** `true`: also when Koa thinks that the request is not secure. Default: as `ctx.secure` says. */
  readonly secure?: boolean;
  /** Default: `lax`. `none` needs `secure: true`. */
  readonly sameSite?: "lax" | "strict" | "none";
  /** A cookie of its own for every top-level site (CHIPS). Needs `secure: true`. Default: false. */
  readonly partitioned?: boolean;
  /**
   * The `Priority` of the cookie: Chromium drops those of low priority first when there are too
   * many.
   */
  readonly priority?: "low" | "medium" | "high";
  /**
   * Also reads the cookie `__Host-<name>`, as earlier versions wrote it, where a secure request brings
   * no cookie of the new name, and moves it to the new name. A script can write the old name: leave this
   * on only until the sessions of before the change have expired. Default: false.
   */
  readonly migrate?: boolean;
  /**
   * Signs the cookie, so that a guessed id is refused without a store call: the first key signs, all
   * verify, and a cookie signed by another than the first is sent again. At least 32 bytes each.
   */
  readonly keys?: readonly SecretKey[];
}

const LIFETIME = "say idleTimeout to the session manager, or session.persist(ms)";
const HINTS = {
  key: "write name",
  maxAge: LIFETIME,
  expires: LIFETIME,
  signed: "give keys, and the cookie is signed",
  secret: "write keys: [secret]",
  httpOnly: "it is always on",
  overwrite: "it is always on",
};

/** A host name. */
export const HOST: RegExp =
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

const RULES: Rules<CookieTrackerOptions> = {
  name: token,
  domain: text("a host name without a leading dot", (it) => it.length < 254 && HOST.test(it)),
  path: text(
    "an absolute path without ;, as it stands in URLs",
    (it) => it.length < 1025 && isInUrls(it),
  ),
  secure: flag,
  sameSite: oneOf("lax", "strict", "none"),
  partitioned: flag,
  priority: oneOf("low", "medium", "high"),
  migrate: flag,
  keys: value(
    "an array of at least one secret of at least 32 bytes",
    (it) => Array.isArray(it) && it.length > 0,
  ),
};

/** @throws TypeError or RangeError for options that don't exist or that browsers would reject. */
export function validate(options: CookieTrackerOptions): void {
  checkOptions("cookieTracker", options, RULES, HINTS);
  const { name, secure, sameSite, partitioned } = options;
  if (name !== undefined && /^__(host|secure|http)-/i.test(name)) {
    throw new TypeError(
      `cookieTracker: name must have no prefix, got "${name}": ` +
        "__Host-Http- or __Secure- is added by itself on a secure request",
    );
  }
  if (secure !== true && sameSite === "none") {
    throw new TypeError('cookieTracker: sameSite "none" needs secure: true, or browsers reject it');
  }
  if (secure !== true && partitioned === true) {
    throw new TypeError("cookieTracker: partitioned needs secure: true, or browsers reject it");
  }
}

/**
 * Whether a browser's URL can have the path as it stands: `/my app` is `/my%20app` there, and `/a/../b` is
 * `/b` (WHATWG URL, 4.4), and a cookie's path is compared character by character (RFC 6265bis, 5.1.4).
 */
function isInUrls(path: string): boolean {
  if (!path.startsWith("/") || path.includes(";")) return false;
  const url = `http://host${path}`;
  return URL.canParse(url) && new URL(url).pathname === path;
}
