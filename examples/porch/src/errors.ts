import type { Context, Middleware } from "koa";
import { html } from "./html.ts";
import { layout } from "./layout.ts";

const pages: Readonly<Record<number, readonly [title: string, text: string]>> = {
  401: ["Sign in first", "This page is for those who are signed in."],
  403: ["Not allowed", "Your session may not do this, so nothing was changed."],
  404: ["Nobody here", "There is no page at this address."],
  405: ["Not that way", "This address does not take this kind of request."],
  413: ["Too long", "What was sent is longer than this page takes."],
  415: ["Not a form", "This page takes HTML forms only."],
  429: ["Slow down", "There were too many wrong passwords. Wait a moment, and try again."],
  500: [
    "That was our fault",
    "Something failed. It was reported, and nothing that you had was lost.",
  ],
  503: ["Back in a moment", "The sessions can’t be reached now. Nobody was signed out: try again."],
};

/** The text of a 403 that `sameOrigin()` throws. */
const fromAnotherSite = [
  "Not from there",
  "This request came from another site, so nothing was changed.",
] as const;

const userOf = (ctx: Context): string | undefined => {
  try {
    return ctx.session?.userId;
  } catch {
    return undefined;
  }
};

/** Shows a page for each failure. What fails is still reported to the app's `error` event. */
export const errorPages: Middleware = async (ctx, next) => {
  try {
    await next();
    if (ctx.status >= 400 && ctx.body === undefined) show(ctx, ctx.status);
  } catch (error) {
    const {
      status = 500,
      code,
      headers,
    } = error as {
      status?: number;
      code?: string;
      headers?: Record<string, string>;
    };
    // A script is better served by a plain 401 than by a page.
    const isForScript = status === 401 && !ctx.get("Accept").includes("text/html");
    if (ctx.headerSent || ctx.get("Upgrade") || isForScript) throw error;
    if (headers) ctx.set(headers);
    if (status >= 500) ctx.app.emit("error", error, ctx);
    show(ctx, status, code === "ERR_SAME_ORIGIN_REFUSED" ? fromAnotherSite : undefined);
  }
};

function show(ctx: Context, status: number, page = pages[status]): void {
  const [title, text] = page ??
    (status >= 500 ? pages[500] : undefined) ?? [
      "That can’t be",
      "This request could not be understood.",
    ];
  ctx.body = layout({
    title,
    user: userOf(ctx),
    live: false,
    main: html`<section class="hero">
      <p class="status">${status}</p>
      <h1>${title}</h1>
      <p class="lead">${text}</p>
      <p class="actions"><a class="button" href="${status === 401 ? "/sign-in" : "/"}">${status === 401 ? "Sign in" : "Back to the first page"}</a></p>
    </section>`,
  });
  ctx.status = status;
  ctx.set("Cache-Control", "no-store");
}
