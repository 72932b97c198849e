import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";
import { parseCookie, stringifyCookie, stringifySetCookie } from "cookie";
import type { ExtendableContext } from "koa";
import { SessionError } from "./errors.ts";
import { publish } from "./events.ts";
import type { Id } from "./id-generator.ts";
import { knownOptions } from "./known-options.ts";
import { type SecretKey, secretKey } from "./secret-key.ts";
import { TOKEN } from "./token.ts";
import type { Tracked, Tracker } from "./tracker.ts";

export interface CookieTrackerOptions {
  /** The cookie's name, without a prefix: `__Host-` or `__Secure-` is added by itself. Default: `sid`. */
  readonly name?: string;
  /** Shares the cookie with all hosts under this one; with it the prefix is `__Secure-`. */
  readonly domain?: string;
  /** Where the cookie is sent; with any other than the default, `/`, the prefix is `__Secure-`. */
  readonly path?: string;
  /** `true`: also when Koa thinks that the request is not secure. Default: as `ctx.secure` says. */
  readonly secure?: boolean;
  /** Default: `lax`. `none` needs `secure: true`. */
  readonly sameSite?: "lax" | "strict" | "none";
  /** A cookie of its own for every top-level site (CHIPS). Needs `secure: true`. Default: false. */
  readonly partitioned?: boolean;
  /** Which cookies Chromium drops last when there are too many. */
  readonly priority?: "low" | "medium" | "high";
  /**
   * Signs the cookie, so that a guessed id is refused without a store call: the first key signs, all
   * verify, and a cookie signed by another than the first is sent again. At least 32 bytes each.
   */
  readonly keys?: readonly SecretKey[];
}

const OPTIONS = [
  "name",
  "domain",
  "path",
  "secure",
  "sameSite",
  "partitioned",
  "priority",
  "keys",
] as const satisfies readonly (keyof CookieTrackerOptions)[];

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

/** RFC 6265bis, 5.6: browsers ignore a cookie whose name and value are longer together. */
const MAX_BYTES = 4096;
/** RFC 6265bis, 5.5: browsers keep no cookie for longer than 400 days. In seconds. */
const MAX_AGE = 400 * 24 * 60 * 60;

const MALFORMED: Tracked = { refused: "malformed" };
const AMBIGUOUS: Tracked = { refused: "ambiguous" };
const BAD_SIGNATURE: Tracked = { refused: "signature" };

/**
 * Keeps the id in a cookie that scripts can't read (`HttpOnly`, always).
 *
 * A secure request reads and writes only the prefixed name (`__Host-sid`; `__Secure-sid` where a
 * `domain` or a `path` is given), any other request only the plain one: a cookie that was planted over
 * plain HTTP is never read on HTTPS, nor, with `__Host-`, one of a sibling host (RFC 6265bis, 4.1.3).
 *
 * Two different values under the name are refused as `ambiguous`, one that is empty or longer than
 * 4,096 bytes as `malformed`, one that no key has signed as `signature`.
 *
 * Publishes `lanai:session:insecure` for a request that a proxy received over HTTPS while the app
 * doesn't trust proxies.
 *
 * @throws TypeError or RangeError for options that don't exist or that browsers would reject.
 */
export function cookieTracker(options: CookieTrackerOptions = {}): Tracker {
  knownOptions("cookieTracker", options, OPTIONS, HINTS);
  validate(options);
  const { name = "sid", domain, path = "/", sameSite = "lax", partitioned, priority } = options;
  const forced = options.secure === true;
  const signer = options.keys && cookieSigner(options.keys);

  const attributes = {
    path,
    sameSite,
    httpOnly: true,
    ...(domain !== undefined && { domain }),
    ...(priority !== undefined && { priority }),
    ...(partitioned === true && { partitioned }),
  };
  const prefix = domain === undefined && path === "/" ? "__Host-" : "__Secure-";
  // With `lead` begins a pair of a Cookie header, and a Set-Cookie line.
  const plain = { name, lead: `${name}=`, attributes: { ...attributes, secure: false } };
  const secured = {
    name: prefix + name,
    lead: `${prefix}${name}=`,
    attributes: { ...attributes, secure: true },
  };
  const cookieOf = (ctx: ExtendableContext) => (forced || ctx.secure ? secured : plain);
  const toValue = (cookieName: string, id: Id) => signer?.sign(cookieName, id) ?? id;

  return {
    vary: "Cookie",

    get(ctx) {
      const cookie = cookieOf(ctx);
      if (cookie === plain) reportProxy(ctx);
      const header = ctx.req.headers.cookie;
      if (header === undefined) return undefined;
      const value = readValue(header, cookie.name, cookie.lead);
      if (typeof value !== "string") return value;
      return signer ? signer.verify(cookie.name, value) : { id: value };
    },

    set(ctx, id, _record, maxAge) {
      const cookie = cookieOf(ctx);
      const line = stringifySetCookie({
        name: cookie.name,
        value: toValue(cookie.name, id),
        ...cookie.attributes,
        ...(maxAge !== undefined && {
          maxAge: Math.min(Math.max(Math.floor(maxAge / 1000), 1), MAX_AGE),
        }),
      });
      const bytes = line.indexOf(";") - 1;
      if (bytes > MAX_BYTES) {
        throw new SessionError(
          "ERR_SESSION_TOO_LARGE",
          `the cookie ${cookie.name} has ${bytes} bytes, and browsers keep ${MAX_BYTES} at most`,
        );
      }
      writeLine(ctx, cookie.lead, line);
    },

    clear(ctx) {
      const cookie = cookieOf(ctx);
      const line = stringifySetCookie({
        name: cookie.name,
        value: "",
        ...cookie.attributes,
        maxAge: 0,
        expires: new Date(0),
      });
      writeLine(ctx, cookie.lead, line);
    },

    present(id, { secure }) {
      const cookie = forced || secure ? secured : plain;
      return { cookie: stringifyCookie({ [cookie.name]: toValue(cookie.name, id) }) };
    },

    ...(signer && {
      admit: (_ctx, tracked) => ({ status: "accept", reissue: "outdated" in tracked }),
    }),
  };
}

/**
 * The one value of a cookie, or why there is none. Only the pairs of that name are cut out and
 * parsed: most of a header belongs to others.
 */
function readValue(header: string, name: string, lead: string): string | Tracked | undefined {
  let found: string | undefined;
  let at = header.indexOf(lead);
  while (at !== -1) {
    const next = at + lead.length;
    if (startsPair(header, at)) {
      const semicolon = header.indexOf(";", next);
      const end = semicolon === -1 ? header.length : semicolon;
      if (end - next > MAX_BYTES) return MALFORMED;
      const text = header.slice(next, end);
      const value = PLAIN.test(text) ? text : parseCookie(`${name}=${text}`)[name];
      if (!value) return MALFORMED;
      if (found !== undefined && found !== value) return AMBIGUOUS;
      found = value;
    }
    at = header.indexOf(lead, next);
  }
  return found;
}

/** What the parser would leave as it is: most values, our ids among them. */
const PLAIN = /^[\w.-]+$/;

/** Whether a pair starts here, and not the end of a longer name or the middle of a value. */
function startsPair(header: string, at: number): boolean {
  if (at === 0) return true;
  let before = at - 1;
  while (header[before] === " " || header[before] === "\t") before--;
  return before < 0 || header[before] === ";";
}

/** Writes the only `Set-Cookie` line of its name, and leaves those of the app alone. */
function writeLine(ctx: ExtendableContext, lead: string, line: string): void {
  const present = ctx.res.getHeader("Set-Cookie");
  const lines = present === undefined ? [] : [present].flat().map(String);
  ctx.res.setHeader("Set-Cookie", [...lines.filter((other) => !other.startsWith(lead)), line]);
}

/** An older key's signature is `outdated`; the manager hands the object back to `admit`. */
interface Verified {
  readonly id: Id;
  readonly outdated?: true;
}

interface CookieSigner {
  sign(name: string, id: Id): string;
  verify(name: string, value: string): Tracked;
}

/** The name is signed too: a plain cookie's value says nothing under the prefixed name. */
function cookieSigner(secrets: readonly SecretKey[]): CookieSigner {
  const keys = secrets.map((secret, at) => secretKey(`cookieTracker: keys[${at}]`, secret, 32));
  const [first] = keys;
  if (!first) throw new RangeError("cookieTracker: keys must hold at least one key, got none");
  const signature = (key: KeyObject, name: string, id: Id) =>
    createHmac("sha256", key).update(`${name}=${id}`).digest("base64url");

  return {
    sign: (name, id) => `${id}.${signature(first, name, id)}`,

    verify(name, value) {
      const dot = value.lastIndexOf(".");
      if (dot < 1) return BAD_SIGNATURE;
      const id = value.slice(0, dot);
      const given = Buffer.from(value.slice(dot + 1));
      const at = keys.findIndex((key) => {
        const expected = Buffer.from(signature(key, name, id));
        return given.length === expected.length && timingSafeEqual(given, expected);
      });
      if (at === -1) return BAD_SIGNATURE;
      const verified: Verified = at === 0 ? { id } : { id, outdated: true };
      return verified;
    },
  };
}

function reportProxy(ctx: ExtendableContext): void {
  const protocol = ctx.req.headers["x-forwarded-proto"];
  if (typeof protocol !== "string" || !protocol.startsWith("https")) return;
  publish("insecure", {
    level: "warn",
    message:
      "a proxy received this request over HTTPS, and Koa took it for plain HTTP, so that the " +
      "session cookie is not Secure: set app.proxy = true",
  });
}

const HOST = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const PATH = /^\/[\x20-\x3a\x3c-\x7e]*$/;

function validate(options: CookieTrackerOptions): void {
  const { name, domain, path, secure, sameSite, partitioned, priority, keys } = options;
  text(
    "name",
    name,
    (it) => TOKEN.test(it),
    "a token of RFC 9110 (letters, digits, !#$%&'*+-.^_`|~)",
  );
  if (name !== undefined && /^__(host|secure|http)-/i.test(name)) {
    throw new TypeError(
      `cookieTracker: name must have no prefix, got ${inspect(name)}: ` +
        "__Host- or __Secure- is added by itself on a secure request",
    );
  }
  text(
    "domain",
    domain,
    (it) => it.length < 254 && HOST.test(it),
    "a host name without a leading dot",
  );
  text("path", path, (it) => it.length < 1025 && PATH.test(it), "an absolute path without ;");
  oneOf("secure", secure, [true, false]);
  oneOf("sameSite", sameSite, ["lax", "strict", "none"]);
  oneOf("partitioned", partitioned, [true, false]);
  oneOf("priority", priority, ["low", "medium", "high"]);
  if (secure !== true && sameSite === "none") {
    throw new TypeError("cookieTracker: sameSite 'none' needs secure: true, or browsers reject it");
  }
  if (secure !== true && partitioned === true) {
    throw new TypeError("cookieTracker: partitioned needs secure: true, or browsers reject it");
  }
  if (keys !== undefined && !Array.isArray(keys)) {
    throw new TypeError("cookieTracker: keys must be an array of secrets of at least 32 bytes");
  }
}

function text(
  option: string,
  value: unknown,
  accepts: (value: string) => boolean,
  accepted: string,
): void {
  if (value === undefined || (typeof value === "string" && accepts(value))) return;
  throw new TypeError(`cookieTracker: ${option} must be ${accepted}, got ${inspect(value)}`);
}

function oneOf(option: string, value: unknown, accepted: readonly (string | boolean)[]): void {
  if (value === undefined || accepted.some((one) => one === value)) return;
  const list = accepted.map((one) => inspect(one)).join(", ");
  throw new TypeError(`cookieTracker: ${option} must be one of ${list}, got ${inspect(value)}`);
}
