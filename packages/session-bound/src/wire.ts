import type { ExtendableContext } from "koa";
import type { BoundCookie } from "./bound-cookie.ts";
import type { BoundAlgorithm } from "./device-key.ts";

/** Names of the protocol's header fields. */
export const HEADERS = {
  registration: "Secure-Session-Registration",
  response: "Secure-Session-Response",
  challenge: "Secure-Session-Challenge",
  id: "Sec-Secure-Session-Id",
  skipped: "Secure-Session-Skipped",
} as const;

/** The browser's name for a session and a key: another key is another session to it. */
export const identifierOf = (publicId: string, thumbprint: string): string =>
  `${publicId}.${thumbprint.slice(0, 16)}`;

/** The offer of a registration. Base64url and paths need no escape in a structured field's string. */
export const offerOf = (
  algorithms: readonly BoundAlgorithm[],
  path: string,
  challenge: string,
): string => `(${algorithms.join(" ")});path="${path}";challenge="${challenge}"`;

export function sendChallenge(ctx: ExtendableContext, challenge: string, identifier: string): void {
  ctx.set(HEADERS.challenge, `"${challenge}";id="${identifier}"`);
}

export interface Instructions {
  readonly identifier: string;
  readonly refreshPath: string;
  readonly exclude: readonly string[];
  readonly cookie: BoundCookie;
}

/** Sends the response to a registration or a refresh: the browser's instructions for the session. */
export function sendInstructions(
  ctx: ExtendableContext,
  { identifier, refreshPath, exclude, cookie }: Instructions,
): void {
  ctx.body = {
    session_identifier: identifier,
    refresh_url: refreshPath,
    scope: {
      include_site: false,
      scope_specification: exclude.map((path) => ({ type: "exclude", domain: "*", path })),
    },
    credentials: [{ type: "cookie", name: cookie.name, attributes: cookie.attributes }],
  };
}

/** Ends the session in the browser. */
export function sendEnd(ctx: ExtendableContext, identifier: string): void {
  ctx.set("Cache-Control", "no-store");
  ctx.body = { session_identifier: identifier, continue: false };
}

/**
 * Returns headers that make the browser repeat a refused request, if that request followed a link of
 * another origin. Browsers don't refresh before such a request, but before one of the page itself.
 */
export function askAgain(ctx: ExtendableContext): Readonly<Record<string, string>> {
  const { method, originalUrl } = ctx;
  const isLink =
    method === "GET" &&
    ctx.get("Sec-Fetch-Mode") === "navigate" &&
    ["cross-site", "same-site"].includes(ctx.get("Sec-Fetch-Site"));
  // The path only: a URL that begins with two slashes would lead to another host.
  return isLink && /^\/(?![/\\])[\x21-\x7e]*$/.test(originalUrl)
    ? { Refresh: `0;url=${originalUrl}` }
    : {};
}

const REASONS = ["unreachable", "server_error", "quota_exceeded"];

/** Returns the browser's reason for having skipped a refresh, or `undefined` if it hasn't. */
export function skippedBecause(ctx: ExtendableContext): string | undefined {
  const header = ctx.get(HEADERS.skipped);
  if (header === "") return undefined;
  return REASONS.find((it) => header.startsWith(it)) ?? "other";
}
