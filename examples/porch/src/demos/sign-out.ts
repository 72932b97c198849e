import { randomInt } from "node:crypto";
import { excerpt } from "../excerpt.ts";
import { seeOther } from "../form.ts";
import { html } from "../html.ts";
import { pane } from "../pane.ts";
import type { Demo } from "./demo.ts";

export const signOut: Demo = {
  id: "sign-out",
  title: "Sign out here, every tab ends",
  promise: "A sign-out reaches every open tab at once, and a copy of the cookie opens nothing.",
  steps: "Both tabs are signed in to one session. Sign out in one of them, and watch the other.",
  controls: html`<form method="post" action="/demos/sign-out"><button class="button">Sign in as a guest</button></form>`,
  code: excerpt(new URL(import.meta.url)),
  routes(router) {
    router.get("/demos/sign-out/:tab", (ctx) => {
      const { userId } = ctx.session;
      const ended = "ended" in ctx.query;
      ctx.body = pane(
        `Tab ${ctx.params.tab}`,
        userId === undefined
          ? html`<p class="notice" role="status">${ended ? "Signed out in another tab." : "Nobody is signed in."}</p>`
          : html`<p>Signed in as <strong>${userId}</strong></p>
        <form method="post"><button class="quiet">Sign out</button></form>`,
      );
    });

    router.post("/demos/sign-out", (ctx) => {
      if (ctx.session.userId === undefined) ctx.session.login(`guest-${randomInt(1000, 10_000)}`);
      seeOther(ctx, "/demos/sign-out");
    });

    // show
    router.post("/demos/sign-out/:tab", async (ctx) => {
      // Ends the session in the store, then its live connections.
      await ctx.session.destroy();
      seeOther(ctx, ctx.path);
    });
    // end
  },
};
