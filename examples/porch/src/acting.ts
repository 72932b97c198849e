import Router from "@koa/router";
import { requireSession, type Session } from "@lanai/session";
import { readForm, seeOther } from "./form.ts";
import { type Html, html } from "./html.ts";
import { nameOf } from "./names.ts";

/** Who may act for others. An app of your own asks its list of roles. */
const ADMIN = "admin";

/** An administrator acts for a user, for half an hour at most, and comes back to their own session. */
export function acting(): Router {
  const router = new Router({ prefix: "/acting" });

  router.post("/", requireSession({ user: true }), async (ctx) => {
    const name = nameOf((await readForm(ctx)).get("for"));
    if (ctx.session.userId !== ADMIN) return ctx.throw(403);
    if (!name || name.length > 40 || name === ADMIN) return ctx.throw(400, "this can't be a name");
    ctx.session.impersonate(name);
    seeOther(ctx, "/home");
  });

  router.post("/stop", async (ctx) => {
    const isBack = await ctx.session.stopImpersonating();
    if (isBack) ctx.flash.success("You are yourself again");
    seeOther(ctx, "/home");
  });

  return router;
}

/** Returns a session's panel: that somebody acts for its user, or a form by which an admin can. */
export function actingPanel({ userId, impersonator }: Session): Html | undefined {
  if (impersonator) {
    return html`<form class="notice warning" method="post" action="/acting/stop">
      <p><strong>${impersonator.userId}</strong> acts for ${userId}, and can’t delete the account.</p>
      <button class="quiet">Stop acting for ${userId}</button>
    </form>`;
  }
  if (userId !== ADMIN) return undefined;
  return html`<form class="panel" method="post" action="/acting">
      <label for="for">Act for a user</label>
      <input id="for" name="for" maxlength="40" required autocomplete="off">
      <button class="quiet">Act for them</button>
    </form>`;
}
