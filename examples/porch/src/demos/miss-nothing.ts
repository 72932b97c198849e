import { excerpt } from "../excerpt.ts";
import { readForm, seeOther } from "../form.ts";
import { html } from "../html.ts";
import { pane } from "../pane.ts";
import type { Demo } from "./demo.ts";

const form = (count: number, text: string, kind: string) =>
  html`<form method="post" action="/demos/miss-nothing" data-fetch><input type="hidden" name="count" value="${count}"><button class="${kind}">${text}</button></form>`;

export const missNothing: Demo = {
  id: "miss-nothing",
  title: "Lose the connection, miss nothing",
  promise: "Messages that come while a tab is offline arrive when it is back: each once, in order.",
  steps: "Publish one, and both have it. Then cut: five come before the tabs are back.",
  controls: html`${form(5, "Cut both, and publish five", "button")}${form(1, "Publish one", "quiet")}`,
  code: `// The server
${excerpt(new URL(import.meta.url))}

// The page, src/page/log.ts
${excerpt(new URL("../page/log.ts", import.meta.url))}`,
  routes(router, { bus, clients, channels }) {
    router.get("/demos/miss-nothing/:tab", (ctx) => {
      const isChannel = ctx.params.tab === "a";
      const title = isChannel ? "Tab a, by a channel" : "Tab b, by a plain send";
      const { publicId = "" } = ctx.session;
      const list = html`<ol data-log="${isChannel ? publicId : ""}" aria-live="polite"></ol>`;
      ctx.body = pane(title, list, "live");
    });

    router.post("/demos/miss-nothing", async (ctx) => {
      const { publicId: id = "none" } = ctx.session;
      const count = (await readForm(ctx)).get("count") === "5" ? 5 : 1;
      const last = (await ctx.session.update("published", (n = 0) => n + count)) ?? 0;
      // The tabs may be connected to another process: see `live.ts`.
      if (count > 1) await bus.publish(`cut.${id}`, "now");
      for (let n = last - count + 1; n <= last; n++) {
        const text = `Message ${n}`;
        // show
        await channels.publish("log.:id", { id }, "message", text); // retained
        await clients.send({ session: id }, "message", text); // to who is there
        // end
      }
      seeOther(ctx, "/demos/miss-nothing");
    });
  },
};
