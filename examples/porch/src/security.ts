import type { Middleware } from "koa";

const policy = (ancestors: string): string =>
  `default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ${ancestors}`;

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** Nothing inline and nothing from elsewhere. Only the panes of a demonstration are shown in frames. */
export const securityHeaders: Middleware = (ctx, next) => {
  const isPane = /^\/demos\/[\w-]+\/[ab]$/.test(ctx.path);
  ctx.set({ "Content-Security-Policy": policy(isPane ? "'self'" : "'none'"), ...HEADERS });
  return next();
};
