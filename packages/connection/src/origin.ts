import { checkValue, kindOf, text } from "./options.ts";

/**
 * Returns the serialised origin (RFC 6454, 6.2) that a request was sent to, from Koa's `ctx.protocol`
 * and `ctx.host`: the host in lower case, without the port that the scheme implies. `undefined` if the
 * scheme is neither `http` nor `https` or the host is malformed: such a request has no origin that
 * could equal another.
 */
export function originOf(protocol: string, host: string): string | undefined {
  const url = `${protocol}://${host}`;
  if (!/^https?$/i.test(protocol) || !/^[^\s/?#@\\*,]+$/.test(host)) return undefined;
  return URL.canParse(url) ? new URL(url).origin : undefined;
}

/** The largest list of origins, and the longest origin, in UTF-16 code units. */
const MOST_ORIGINS = 1_000;
const LONGEST = 512;

/**
 * Returns whether a text can be the value of an `Origin` header: scheme, host and port, as a browser
 * serialises them. It may be an app's own scheme (`capacitor://localhost`, `chrome-extension://…`). A
 * WebSocket's scheme never is: a page sends the origin that it was loaded from.
 */
export function isSerialisedOrigin(origin: string): boolean {
  const [, scheme, host] = /^([a-z][a-z\d+.-]*):\/\/([!-~]*)$/.exec(origin) ?? [];
  if (scheme === undefined || host === undefined || origin.length > LONGEST) return false;
  if (scheme === "http" || scheme === "https") return originOf(scheme, host) === origin;
  return scheme !== "ws" && scheme !== "wss" && /^[^/?#@\\*,]*$/.test(host);
}

/**
 * Checks the option `origins`, a list of serialised origins.
 *
 * @param acceptsNull - Whether the list may hold `null`, the origin of each sandboxed frame.
 * @throws TypeError that names the entry and what it should be.
 */
export function checkOrigins(owner: string, origins: unknown, acceptsNull: boolean): void {
  if (!Array.isArray(origins) || origins.length > MOST_ORIGINS) {
    const accepted = `an array of at most ${MOST_ORIGINS} origins`;
    throw new TypeError(`${owner}: origins must be ${accepted}, got ${kindOf(origins)}`);
  }
  for (const [index, origin] of origins.entries()) {
    const suggested = suggestion(origin);
    const accepted =
      suggested === undefined
        ? 'an origin such as "https://example.com" (scheme, host and port; compared as text)'
        : `an origin as browsers send it, here "${suggested}"`;
    const isAccepted = (it: string) => isSerialisedOrigin(it) || (acceptsNull && it === "null");
    checkValue(owner, `origins[${index}]`, origin ?? null, text(accepted, isAccepted));
  }
}

/** Returns the origin that was probably meant, if the text is the URL of a web page. */
function suggestion(given: unknown): string | undefined {
  if (typeof given !== "string" || !URL.canParse(given)) return undefined;
  const { protocol, host } = new URL(given);
  return originOf(protocol.slice(0, -1).replace(/^ws/, "http"), host);
}

/** The information on the set-up that an event about a refused origin carries. */
export interface OriginMismatch {
  /** `scheme`, `port`: probably lost at a proxy. `null`: the page has no origin. Else `host`. */
  readonly cause: "scheme" | "port" | "scheme and port" | "host" | "null";
  /** Names the setting to look at. */
  readonly hint: string;
}

const HINTS: Readonly<Record<OriginMismatch["cause"], string>> = {
  scheme:
    "Only the scheme differs: set app.proxy = true, and let the proxy that ends TLS send " +
    "X-Forwarded-Proto (nginx: proxy_set_header X-Forwarded-Proto $scheme).",
  port:
    "Only the port differs: let the proxy forward the Host header with its port " +
    "(nginx: proxy_set_header Host $http_host), or send X-Forwarded-Host with app.proxy = true.",
  "scheme and port":
    "Scheme and port differ: set app.proxy = true, and let the proxy send X-Forwarded-Proto and the " +
    "Host header with its port (nginx: proxy_set_header Host $http_host).",
  host:
    "It is another site, which the option origins can allow, or the proxy replaces the Host header: " +
    "let it forward the header, or send X-Forwarded-Host with app.proxy = true.",
  null: "The page has no origin: a sandboxed frame, a file, or Referrer-Policy: no-referrer over HTTP.",
};

/** Explains why an `Origin` header differs from the origin that the request was sent to. */
export function mismatchOf(origin: string, expected: string | undefined): OriginMismatch {
  const cause = causeOf(origin, expected);
  return { cause, hint: HINTS[cause] };
}

/**
 * Explains why an `Origin` header is none of the accepted origins: it is compared with one of the same
 * host, if there is one.
 */
export function mismatchAmong(origin: string, accepted: readonly string[]): OriginMismatch {
  const all = accepted.map((it) => mismatchOf(origin, it));
  return all.find(({ cause }) => cause !== "host") ?? mismatchOf(origin, undefined);
}

function causeOf(origin: string, expected = ""): OriginMismatch["cause"] {
  if (origin === "null") return "null";
  if (!URL.canParse(origin) || !URL.canParse(expected)) return "host";
  const [one, other] = [new URL(origin), new URL(expected)];
  if (one.hostname !== other.hostname) return "host";
  if (one.protocol === other.protocol) return "port";
  return one.port === other.port ? "scheme" : "scheme and port";
}

/** Returns a header's value as an event may show it: at most 256 characters, without control characters. */
export const shownHeader = (value: string): string =>
  value.replaceAll(/[^ -~]/g, "?").slice(0, 256);
