import Router from "@koa/router";
import type { Clients } from "@lanai/clients";
import { requireSession, returnPath } from "@lanai/session";
import { readForm, seeOther } from "./form.ts";
import { html } from "./html.ts";
import { layout } from "./layout.ts";
import { type Member, membersOnly } from "./members.ts";
import { alert, type PasswordCheck, passwordField } from "./password.ts";

const MINUTE = 60_000;

/** "Confirm it's you", and what asks for it: the end of the account. */
export function confirm(clients: Clients, isRight: PasswordCheck): Router<Member> {
  const router = new Router<Member>();
  const members = [membersOnly, clients.middleware()] as const;

  router.get("/confirm", ...members, (ctx) => {
    ctx.body = confirmPage(ctx.state.user);
  });

  router.post("/confirm", ...members, async (ctx) => {
    const { user } = ctx.state;
    if (!isRight(ctx, user, (await readForm(ctx)).get("password"))) {
      ctx.status = 422;
      ctx.body = confirmPage(user, "That is not the password");
      return;
    }
    ctx.session.reauthenticate({ methods: ["pwd"] });
    ctx.status = 303;
    ctx.redirect(returnPath(ctx.query.to));
  });

  // Whoever finds an open tab can't delete the account: the sign-in must be a minute old at most.
  const isFresh = requireSession({
    within: MINUTE,
    redirect: (_, to) => `/confirm?to=${encodeURIComponent(to === "/" ? "/account/delete" : to)}`,
  });

  const isOneself = requireSession({ user: true, impersonated: false });

  router.get("/account/delete", ...members, isOneself, isFresh, (ctx) => {
    ctx.body = deletePage(ctx.state.user);
  });

  router.post("/account/delete", ...members, isOneself, isFresh, async (ctx) => {
    await clients.devices(ctx).revokeAll();
    ctx.flash.success(`The account of ${ctx.state.user} is deleted, in every browser`);
    seeOther(ctx, "/sign-in");
  });

  return router;
}

/** The form posts to the address that it has, which says where to go afterwards. */
function confirmPage(user: string, error?: string): string {
  return layout({
    title: error ?? "Confirm it’s you",
    user,
    main: html`<form class="card" method="post">
      <h1>Confirm it’s you</h1>
      <p>What comes next can’t be undone, and your last sign-in was a while ago. Type the password again.</p>
      ${alert(error)}
      <input type="hidden" name="name" value="${user}" autocomplete="username">
      ${passwordField(error, "It is still")}
      <button class="button wide">Confirm</button>
    </form>`,
  });
}

const deletePage = (user: string): string =>
  layout({
    title: "Delete the account",
    user,
    main: html`<form class="card" method="post" action="/account/delete">
      <h1>Delete the account of ${user}?</h1>
      <p>Every browser that is signed in as ${user} is signed out at once, and its open tabs leave.</p>
      <button class="button danger wide">Delete the account</button>
      <p class="aside"><a href="/home">Keep it</a></p>
    </form>`,
  });
