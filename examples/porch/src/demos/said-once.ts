import { excerpt } from "../excerpt.ts";
import { seeOther } from "../form.ts";
import { html } from "../html.ts";
import { pane } from "../pane.ts";
import type { Demo } from "./demo.ts";

export const saidOnce: Demo = {
  id: "said-once",
  title: "Said once",
  promise: "A flash message is shown by exactly one of two tabs that ask at the same moment.",
  steps: "Leave a message: the page comes back, and both tabs load at once. One of them has it.",
  controls: html`<form method="post" action="/demos/said-once"><button class="button">Leave a message</button></form>`,
  code: excerpt(new URL(import.meta.url)),
  routes(router) {
    // show
    router.post("/demos/said-once", (ctx) => {
      ctx.flash.success("Your order is on its way");
      seeOther(ctx, "/demos/said-once");
    });

    router.get("/demos/said-once/:tab", async (ctx) => {
      const [first] = await ctx.flash.pop();
      // end
      ctx.body = pane(
        `Tab ${ctx.params.tab}`,
        first
          ? html`<p class="notice success" role="status">${String(first.message)}</p>`
          : html`<p class="hint">No message for this tab.</p>`,
        "plain",
      );
    });
  },
};
