import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { stringifyCookie, stringifySetCookie } from "cookie";
import type { ExtendableContext } from "koa";
import { SessionError } from "../errors.ts";
import type { Id } from "../id-generator.ts";
import { type SecretKey, secretKey } from "../secret-key.ts";
import type { PresentedToken, Tracker } from "../tracker.ts";
import { type Attributes, expiryLine, formsOf } from "./cookie-forms.ts";
import { type CookieTrackerOptions, validate } from "./cookie-options.ts";
import { cookieReport, reportDomain, reportPlain, reportSecure } from "./cookie-reports.ts";
import { hasPair, MAX_BYTES, readValues } from "./cookie-values.ts";

/** RFC 6265bis, 5.5: browsers keep no cookie for longer than 400 days. In seconds. */
const MAX_AGE = 400 * 24 * 60 * 60;

const MALFORMED: PresentedToken = { refused: "malformed" };
const NO_TOKENS: readonly PresentedToken[] = [];
/** The greatest number of other cookies of ours that one response expires. */
const MAX_EXPIRED = 7;
const BAD_SIGNATURE: PresentedToken = { refused: "signature" };

/** A cookie of ours: its name, and with what it is written. */
interface Cookie {
  readonly name: string;
  /** The beginning of a pair in a Cookie header, and of a Set-Cookie line. */
  readonly lead: string;
  readonly attributes: Attributes;
}

const cookieNamed = (name: string, attributes: Attributes): Cookie => ({
  name,
  lead: `${name}=`,
  attributes,
});

/** The cookies of ours that a request brought, if more than one must be expired. */
interface Brought {
  /** Several of the name. */
  twins: boolean;
  /** One of the name that `migrate` leaves behind. */
  former: boolean;
}

/**
 * Keeps the id in a cookie that scripts can't read (`HttpOnly`, always).
 *
 * A secure request reads and writes only the prefixed name (`__Host-Http-sid`; `__Secure-sid` where a
 * `domain` or a `path` is given), any other request only the plain one: a cookie that was planted over
 * plain HTTP is never read on HTTPS, nor, with `__Host-Http-`, one that a sibling host or a script has
 * planted (RFC 6265bis, 4.1.3). Browsers that don't know `__Host-Http-` enforce its first part,
 * `__Host-`, which keeps out sibling hosts.
 *
 * A value that is empty or longer than 4,096 bytes is refused as `malformed`, one that no key has signed
 * as `signature`. If a request brings several cookies of the name (the cookie's attributes changed
 * between two deployments, or a sibling host planted one), each value is a token, and a sign-in or a
 * sign-out expires the forms of the cookie that the host can reach, in 8 lines at most. All values are
 * read, because the server bounds the length of a header.
 *
 * Publishes `lanai:session:insecure`, at most once a minute for each cause, for a request that a proxy
 * received over HTTPS while Koa takes it for plain HTTP, for a plain request that brings only the
 * prefixed cookie, and when a cookie is written that the browser can't accept: `Secure` over plain
 * HTTP, or for a domain that the request's host isn't in.
 *
 * @throws TypeError or RangeError for options that don't exist or that browsers would reject.
 */
export function cookieTracker(options: CookieTrackerOptions = {}): Tracker {
  validate(options);
  const { name = "sid", domain, path = "/", sameSite = "lax", partitioned, priority } = options;
  const forced = options.secure === true;
  const report = cookieReport();
  const signer = options.keys && cookieSigner(options.keys);

  const attributes = {
    path,
    sameSite,
    httpOnly: true,
    ...(domain !== undefined && { domain }),
    ...(priority !== undefined && { priority }),
    ...(partitioned === true && { partitioned }),
  };
  const isOfHost = domain === undefined && path === "/";
  const plain = cookieNamed(name, { ...attributes, secure: false });
  const secured = cookieNamed(`${isOfHost ? "__Host-Http-" : "__Secure-"}${name}`, {
    ...attributes,
    secure: true,
  });
  const former =
    options.migrate === true && isOfHost
      ? cookieNamed(`__Host-${name}`, secured.attributes)
      : undefined;
  const cookieOf = (ctx: ExtendableContext) => (forced || ctx.secure ? secured : plain);
  const toValue = (cookieName: string, id: Id) => signer?.sign(cookieName, id) ?? id;

  const brought = new WeakMap<ExtendableContext, Brought>();
  const note = (ctx: ExtendableContext, what: keyof Brought) => {
    const noted = brought.get(ctx) ?? { twins: false, former: false };
    noted[what] = true;
    brought.set(ctx, noted);
  };
  const tokenOf = (cookie: Cookie, value: string | undefined): PresentedToken => {
    if (value === undefined) return MALFORMED;
    return signer ? signer.verify(cookie.name, value) : { id: value };
  };
  const tokensOf = (
    ctx: ExtendableContext,
    cookie: Cookie,
    values: readonly (string | undefined)[],
  ) => {
    // The common case, which needs no set.
    if (values.length === 1) return [tokenOf(cookie, values[0])];
    note(ctx, "twins");
    // A server bounds a header's length, and with it their number. Malformed ones must hide no good one.
    return Array.from(new Set(values), (value) => tokenOf(cookie, value));
  };

  /** The tokens of the former name, each to be sent again by the new one. */
  const formerTokens = (ctx: ExtendableContext, header: string, isNeeded: boolean) => {
    if (former === undefined || !hasPair(header, former.lead)) return NO_TOKENS;
    note(ctx, "former");
    if (!isNeeded) return NO_TOKENS;
    return tokensOf(ctx, former, readValues(header, former.name, former.lead)).map(
      (token): PresentedToken & Partial<Outdated> =>
        token.id === undefined ? token : { ...token, outdated: true },
    );
  };

  /** Writes the line of a cookie, and those that expire what else the request brought of ours. */
  const write = (ctx: ExtendableContext, cookie: Cookie, line: string) => {
    const { twins = false, former: hasFormer = false } = brought.get(ctx) ?? {};
    const formers = hasFormer && former ? [former, other(former)] : [];
    const expired = [
      ...formers.map((it) => expiryLine(it.name, it.attributes)),
      ...(twins ? formsOf(cookie.name, ctx.hostname, cookie.attributes) : []).map((form) =>
        expiryLine(cookie.name, form),
      ),
    ].slice(0, MAX_EXPIRED);
    writeLines(ctx, [cookie, ...formers], [...expired, line]);
  };

  return {
    vary: "Cookie",

    get(ctx) {
      const cookie = cookieOf(ctx);
      const header = ctx.req.headers.cookie;
      if (cookie === plain) reportPlain(report, ctx, plain.lead, secured.lead);
      if (header === undefined) return NO_TOKENS;
      const values = readValues(header, cookie.name, cookie.lead);
      const isAbsent = values.length === 0;
      if (cookie === secured && former !== undefined) {
        const moved = formerTokens(ctx, header, isAbsent);
        if (isAbsent) return moved;
      }
      return isAbsent ? NO_TOKENS : tokensOf(ctx, cookie, values);
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
      if (cookie === secured && !ctx.secure) reportSecure(report, ctx);
      if (domain !== undefined) reportDomain(report, ctx, domain);
      write(ctx, cookie, line);
    },

    clear(ctx) {
      const cookie = cookieOf(ctx);
      write(ctx, cookie, expiryLine(cookie.name, cookie.attributes));
    },

    present(id, { secure }) {
      const cookie = forced || secure ? secured : plain;
      return { cookie: stringifyCookie({ [cookie.name]: toValue(cookie.name, id) }) };
    },

    ...((signer || former) && {
      admit: (_ctx, tracked) => ({ status: "accept", reissue: "outdated" in tracked }),
    }),
  };
}

/** The same cookie in the other partition: with `Partitioned`, or without. */
const other = (cookie: Cookie): Cookie => ({
  ...cookie,
  attributes: { ...cookie.attributes, partitioned: !cookie.attributes.partitioned },
});

/** Writes all `Set-Cookie` lines of these cookies, and leaves those of the app alone. */
function writeLines(
  ctx: ExtendableContext,
  cookies: readonly Cookie[],
  lines: readonly string[],
): void {
  const present = ctx.res.getHeader("Set-Cookie");
  const others = (present === undefined ? [] : [present].flat().map(String)).filter(
    (line) => !cookies.some(({ lead }) => line.startsWith(lead)),
  );
  ctx.res.setHeader("Set-Cookie", [...others, ...lines]);
}

/** A cookie to be sent again: signed by an older key, or under the former name. */
interface Outdated {
  readonly outdated: true;
}

/** A SHA-256 in base64url. */
const SIGNATURE_LENGTH = 43;

interface CookieSigner {
  sign(name: string, id: Id): string;
  verify(name: string, value: string): PresentedToken;
}

/** The name is signed too: a plain cookie's value says nothing under the prefixed name. */
function cookieSigner(secrets: readonly SecretKey[]): CookieSigner {
  const keys = secrets.map((secret, at) => secretKey(`cookieTracker: keys[${at}]`, secret, 32));
  const [first] = keys as [KeyObject];
  const signature = (key: KeyObject, name: string, id: Id) =>
    createHmac("sha256", key).update(`${name}=${id}`).digest("base64url");

  return {
    sign: (name, id) => `${id}.${signature(first, name, id)}`,

    verify(name, value) {
      const dot = value.lastIndexOf(".");
      if (dot < 1) return BAD_SIGNATURE;
      const id = value.slice(0, dot);
      // A request may bring many.
      if (value.length - dot - 1 !== SIGNATURE_LENGTH) return BAD_SIGNATURE;
      const given = Buffer.from(value.slice(dot + 1));
      const at = keys.findIndex((key) => {
        const expected = Buffer.from(signature(key, name, id));
        return given.length === expected.length && timingSafeEqual(given, expected);
      });
      if (at === -1) return BAD_SIGNATURE;
      // The manager hands the object back to `admit`.
      const verified: PresentedToken & Partial<Outdated> =
        at === 0 ? { id } : { id, outdated: true };
      return verified;
    },
  };
}
