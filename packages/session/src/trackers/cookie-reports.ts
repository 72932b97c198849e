import type { ExtendableContext } from "koa";
import { events } from "../events.ts";
import { hasPair } from "./cookie-values.ts";

/** The headers by which a proxy says that it received the request over HTTPS, with their values. */
const SIGNS: readonly (readonly [header: string, says: RegExp])[] = [
  ["x-forwarded-proto", /^\s*(https|wss)\s*(,|$)/i],
  // RFC 7239, 4: the first element is that of the outermost proxy.
  ["forwarded", /^[^,]*\bproto="?(https|wss)"?\s*(;|,|$)/i],
  ["x-forwarded-protocol", /^\s*(https|ssl|wss)\b/i],
  ["x-forwarded-scheme", /^\s*(https|wss)\b/i],
  ["x-url-scheme", /^\s*(https|wss)\b/i],
  ["x-forwarded-ssl", /^\s*on\b/i],
  ["front-end-https", /^\s*on\b/i],
  // IIS names the certificate in it, and sends the header over HTTPS only.
  ["x-arr-ssl", /\S/],
  ["x-forwarded-port", /^\s*443\b/],
  ["cloudfront-forwarded-proto", /^\s*https\b/i],
  ["cf-visitor", /"scheme"\s*:\s*"https"/i],
];

/** The header by which a proxy says that it received the request over HTTPS. */
function signOfHttps(ctx: ExtendableContext): string | undefined {
  const { headers } = ctx.req;
  for (const [header, says] of SIGNS) {
    const value = headers[header];
    if (value !== undefined && says.test(String(value))) return header;
  }
  return undefined;
}

let trackers = 0;

/** Makes the function by which one tracker reports, each cause at most once a minute. */
export function cookieReport(): Report {
  const tracker = trackers++;
  return (cause, message) =>
    events.report("insecure", `${tracker}: ${cause}`, { level: "warn", message });
}

type Report = (cause: string, message: string) => void;

/** Reports a request that Koa takes for plain HTTP although it, or its cookie, came over HTTPS. */
export function reportPlain(
  report: Report,
  ctx: ExtendableContext,
  plainLead: string,
  securedLead: string,
): void {
  if (!events.isWatched("insecure")) return;
  const header = signOfHttps(ctx);
  if (header !== undefined) {
    report(
      header,
      `a proxy received this request over HTTPS, as its header ${header} says, and Koa took it for ` +
        `plain HTTP, so that the session cookie is not Secure: ${adviceFor(ctx, header)}`,
    );
    return;
  }
  const { cookie } = ctx.req.headers;
  if (cookie === undefined || hasPair(cookie, plainLead) || !hasPair(cookie, securedLead)) return;
  report(
    "prefixed",
    "a request over plain HTTP brought only the session cookie of HTTPS, which is not read: if a " +
      "server of yours passes on a visitor's cookies, let it send X-Forwarded-Proto: https too, and " +
      "set app.proxy = true",
  );
}

/** Koa reads `X-Forwarded-Proto` alone, and takes its value as it stands. */
function adviceFor(ctx: ExtendableContext, header: string): string {
  const trust = "set app.proxy = true";
  if (header !== "x-forwarded-proto") {
    return `let the proxy send X-Forwarded-Proto: https, and ${trust}`;
  }
  return ctx.app.proxy ? "let the proxy send X-Forwarded-Proto: https, in lower case" : trust;
}

/** Reports a `Secure` cookie on a request that no sign shows to have come over HTTPS. */
export function reportSecure(report: Report, ctx: ExtendableContext): void {
  if (!events.isWatched("insecure") || signOfHttps(ctx) !== undefined) return;
  const { origin, "sec-fetch-site": site } = ctx.req.headers;
  // Browsers send Sec-Fetch-Site over HTTPS, and over plain HTTP to loopback only.
  if (origin?.startsWith("https:") || (site !== undefined && !isLoopback(ctx.hostname))) return;
  report(
    "secure",
    "secure: true sent a Secure cookie in response to a request over plain HTTP: browsers ignore " +
      "such a cookie (on localhost, some keep it), and never send it over plain HTTP. Leave the option " +
      "out, or let the proxy that ends HTTPS send X-Forwarded-Proto: https",
  );
}

/** Reports a cookie's domain that the host is not in: browsers ignore the cookie (RFC 6265bis, 5.7). */
export function reportDomain(report: Report, ctx: ExtendableContext, domain: string): void {
  if (!events.isWatched("insecure")) return;
  const host = ctx.hostname.toLowerCase().replace(/\.$/, "");
  const wanted = domain.toLowerCase();
  // A single label, such as com, is for no host but itself.
  if (host === wanted || (wanted.includes(".") && host.endsWith(`.${wanted}`))) return;
  report(
    "domain",
    `the session cookie's domain ${domain} doesn't match the host of the request, so that browsers ` +
      "ignore the cookie: if a proxy changes the Host header, set app.proxy = true and let it send " +
      "X-Forwarded-Host",
  );
}

const isLoopback = (host: string): boolean =>
  /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i.test(host);
