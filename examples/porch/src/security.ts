import type { Middleware } from "koa";

const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** No scripts, no frames, nothing from elsewhere. */
export const securityHeaders: Middleware = (ctx, next) => {
  ctx.set(HEADERS);
  return next();
};

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Refuses what another site posts (OWASP ASVS 5.0, 3.5.1), on top of `SameSite=Lax`, which lets
 * sibling hosts pass. Every browser says where a POST comes from: in `Sec-Fetch-Site`, or in
 * `Origin`. A client that says neither is not a browser, and no other site can make it send cookies.
 */
export const sameOriginOnly: Middleware = (ctx, next) => {
  if (SAFE.has(ctx.method)) return next();
  const site = ctx.get("Sec-Fetch-Site");
  const origin = ctx.get("Origin");
  const same = site
    ? site === "same-origin" || site === "none"
    : origin === "" || URL.parse(origin)?.host === ctx.host;
  if (!same) ctx.throw(403, "this request comes from another site");
  return next();
};
