import { setTimeout as wait } from "node:timers/promises";
import { excerpt } from "../excerpt.ts";
import { readForm, seeOther } from "../form.ts";
import { html } from "../html.ts";
import { pane } from "../pane.ts";
import type { Demo } from "./demo.ts";

/** The duration of each write, in milliseconds, so that two of them overlap. */
const SLOW = 800;
const add = (notes: string[] = [], note: string): string[] => [...notes, note].slice(-8);

export const bothSurvive: Demo = {
  id: "both-survive",
  title: "Two tabs write, both survive",
  promise: "No update of a session is lost, however many tabs write at once.",
  steps:
    "Let both tabs write at once: two notes are added. Then switch to a naive session, and one is lost.",
  controls: html`<button class="button" data-click="form.write button" hidden>Write in both tabs</button>
    <button class="quiet" data-click="form.naive button" hidden>The same, with a naive session</button>`,
  code: excerpt(new URL(import.meta.url)),
  routes(router, { clients }) {
    router.get("/demos/both-survive/:tab", async (ctx) => {
      const { tab = "" } = ctx.params;
      const list = (kind: string, notes: string[] = []) =>
        html`<ol class="${kind}">${notes.map((note) => html`<li>${note}</li>`)}</ol>`;
      const form = (
        kind: string,
      ) => html`<form class="${kind}" method="post"><input type="hidden" name="kind" value="${kind}">
        <button class="quiet">Write</button></form>`;
      ctx.body = pane(
        `Tab ${tab}`,
        html`<h2>This session</h2>${list("write", ctx.session.get("notes"))}${form("write")}
        <h2>Naive session</h2>${list("naive", ctx.session.get("naive"))}${form("naive")}`,
      );
    });

    router.post("/demos/both-survive/:tab", async (ctx) => {
      const note = `From tab ${ctx.params.tab}`;
      const kind = (await readForm(ctx)).get("kind");
      // show
      if (kind === "naive") {
        const notes = ctx.session.get("naive");
        await wait(SLOW);
        ctx.session.set("naive", add(notes, note));
      } else {
        await wait(SLOW);
        await ctx.session.update("notes", (notes) => add(notes, note));
      }
      // end
      await ctx.session.commit();
      await clients.send({ session: ctx.session.publicId ?? "" }, "change");
      seeOther(ctx, ctx.path);
    });
  },
};
