import type { IncomingMessage } from "node:http";
import { originOf } from "./origin.ts";

/** The parts of a request that show which site it comes from. */
export interface RequestOrigin {
  readonly method: string;
  /** `Origin`; `undefined` if the header is missing. */
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`; `undefined` if the header is missing. */
  readonly site: string | undefined;
  /** Whether the request has a header by which some middlewares replace the method. */
  readonly hasOverride: boolean;
  readonly hasCookie: boolean;
  /** The origin that the request was sent to; `undefined` if its host is malformed. */
  readonly own: string | undefined;
}

/**
 * The reason why a request is refused.
 *
 * - `site`: `Sec-Fetch-Site` says that another site, or another origin of this site, sent it.
 * - `origin`: `Origin` is another one.
 * - `unknown`: it has a cookie, and neither header: no current browser sends that.
 */
export type RefusalReason = "site" | "origin" | "unknown";

/** RFC 9110, 9.2.1. Any other method counts as one that may change something, unknown ones included. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Returns why a request is refused, or `undefined` if it passes. */
export function verdict(
  { method, origin, site, hasOverride, hasCookie, own }: RequestOrigin,
  allowed: ReadonlySet<string>,
): RefusalReason | undefined {
  if (SAFE.has(method) && !hasOverride) return undefined;
  if (origin !== undefined && allowed.has(origin)) return undefined;
  if (site !== undefined) return site === "same-origin" || site === "none" ? undefined : "site";
  // `null` is never an origin of ours: each sandboxed frame has it.
  if (origin !== undefined) return origin === own && own !== "null" ? undefined : "origin";
  return hasCookie ? "unknown" : undefined;
}

/** Headers by which the usual middlewares replace the method of a request. */
const OVERRIDES = ["x-http-method-override", "x-http-method", "x-method-override"] as const;

/** The part of a Koa context that describes its request. */
interface Context {
  readonly req: Pick<IncomingMessage, "headers">;
  readonly method: string;
  readonly protocol: string;
  readonly host: string;
}

/** Returns what the headers of a request say about where it comes from. */
export function requestOriginOf(ctx: Context): RequestOrigin {
  const { headers } = ctx.req;
  return {
    method: ctx.method,
    origin: headers.origin,
    site: textOf(headers["sec-fetch-site"]),
    hasOverride: OVERRIDES.some((name) => headers[name] !== undefined),
    hasCookie: headers.cookie !== undefined,
    // Not Koa's `origin`, which from Koa 3 on is the request's own header.
    own: originOf(ctx.protocol, ctx.host),
  };
}

const textOf = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join(", ") : header;
