import type { Middleware } from "koa";

/** The visitor, for the routes behind {@link membersOnly}. */
export interface Member {
  user: string;
}

/** Sends strangers to the sign-in page, with a message that is shown once. */
export const membersOnly: Middleware<Member> = async (ctx, next) => {
  const { userId } = ctx.session;
  if (userId === undefined) {
    ctx.flash.warning("Please sign in first");
    return ctx.redirect("/sign-in");
  }
  ctx.state.user = userId;
  // Or the back button would show these pages to whoever comes after a sign-out.
  ctx.set("Cache-Control", "no-store");
  await next();
};
