import Router from "@koa/router";
import type { Clients } from "@lanai/clients";
import type { Sessions } from "@lanai/session";
import { devicesPage } from "@lanai/session/devices";
import { Html, html } from "./html.ts";
import { layout } from "./layout.ts";
import { type Member, membersOnly } from "./members.ts";

const MINUTE = 60_000;

/** Where somebody is signed in: each device is named and ended here, or the others, or all. */
export function devices(clients: Clients, sessions: Sessions): Router<Member> {
  const page = devicesPage({
    ...{ sessions, clients, signedOut: "/sign-in?ended" },
    // Whoever finds an open tab can't end the others' sessions an hour later.
    within: 10 * MINUTE,
    redirect: (_, to) => `/confirm?to=${encodeURIComponent(to)}`,
    // The page's own list; when a tab opens or closes, it is shown anew: see `live.ts`.
    render: async (ctx, { html: list }) =>
      layout({
        ...{ title: "Devices", user: ctx.session.userId, path: "/devices" },
        messages: await ctx.flash.pop(),
        main: html`<div data-refresh="devices">${new Html(list)}</div>
    <p class="hint">Sign in with the same name in a private window: it appears here by itself.</p>`,
      }),
  });
  const router = new Router<Member>();
  router.all(["/devices", "/devices/:action"], membersOnly, clients.middleware(), page);
  return router;
}
