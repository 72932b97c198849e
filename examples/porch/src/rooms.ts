import { randomUUID } from "node:crypto";
import Router from "@koa/router";
import type { Context } from "koa";
import * as v from "valibot";
import { Draft, type Live, type Post, postOf, ROOMS } from "./channels.ts";
import { readForm, seeOther } from "./form.ts";
import { html } from "./html.ts";
import { layout, time } from "./layout.ts";
import { type Member, membersOnly } from "./members.ts";

declare module "@lanai/session" {
  interface SessionData {
    /** When the last message that was read in a room was written, by room. */
    seen: Record<string, number>;
  }
}

const KEPT = 200;

/** The pages of the rooms. Reading and posting need no script; what is live is in `page/room.ts`. */
export function rooms(channels: Live): Router<Member> {
  const router = new Router<Member>({ prefix: "/rooms" });
  router.use(membersOnly);

  const history = async (id: string): Promise<Post[]> => {
    const events = await channels.history("room.:id", { id }, KEPT);
    return events.flatMap(({ event, data }) => (event === "post" ? [data] : []));
  };
  const roomOf = (ctx: Context): string => {
    const { room = "" } = ctx.params as { room?: string };
    return ROOMS.includes(room) ? room : ctx.throw(404);
  };

  router.get("/", async (ctx) => {
    const seen = ctx.session.get("seen") ?? {};
    const cards = await Promise.all(
      ROOMS.map(async (room) => {
        const posts = await history(room);
        const unread = posts.filter((it) => it.time > (seen[room] ?? 0)).length;
        const last = posts.at(-1);
        return html`<li><h2><a href="/rooms/${room}">${room}</a>${unread > 0 ? html` <span class="badge">${unread} unread</span>` : undefined}</h2>
          <p>${last ? html`${last.from}, ${time(new Date(last.time))}: ${last.text.slice(0, 80)}` : "No messages yet."}</p></li>`;
      }),
    );
    ctx.body = layout({
      title: "Rooms",
      user: ctx.state.user,
      path: "/rooms",
      main: html`<h1>Rooms</h1>
      <p class="lead">Open one in two browsers, and write. Go offline, write, and come back: it arrives once.</p>
      <ul class="cards" data-refresh="change">${cards}</ul>`,
    });
  });

  router.get("/:room", async (ctx) => {
    const room = roomOf(ctx);
    const posts = await history(room);
    await ctx.session.update("seen", see(room, posts.at(-1)?.time ?? 0));
    ctx.body = layout({
      title: room,
      user: ctx.state.user,
      path: "/rooms",
      main: html`<h1 class="room">${room}</h1>
      <p class="here" hidden>Here now: <span data-here></span></p>
      <ol class="card posts" data-room="${room}" data-user="${ctx.state.user}" aria-live="polite" aria-label="Messages" tabindex="0">${posts.map(
        ({ id, from, text, time: at }) =>
          html`<li data-id="${id}"${from === ctx.state.user ? html` class="own"` : undefined}><strong>${from}</strong> ${time(new Date(at))}<p>${text}</p></li>`,
      )}</ol>
      <p class="hint" data-state role="status"></p>
      <form class="post" method="post">
        <input type="hidden" name="id" value="${randomUUID()}">
        <label for="text">Message</label>
        <input id="text" name="text" maxlength="500" required autocomplete="off">
        <button class="button">Send</button>
      </form>`,
    });
  });

  // A tab that shows what arrives has no unread messages.
  router.post("/:room/seen", async (ctx) => {
    const room = roomOf(ctx);
    const at = Number((await readForm(ctx)).get("time"));
    if (!(at <= Date.now())) ctx.throw(400, "a time that has come");
    await ctx.session.update("seen", see(room, at));
    ctx.status = 204;
  });

  router.post("/:room", async (ctx) => {
    const room = roomOf(ctx);
    const draft = v.safeParse(Draft, Object.fromEntries(await readForm(ctx)));
    if (!draft.success) return ctx.throw(400, "an empty message");
    const post = postOf(ctx.state.user, draft.output);
    await channels.publish("room.:id", { id: room }, "post", post, { messageId: post.id });
    seeOther(ctx, `/rooms/${room}`);
  });

  return router;
}

/** Two tabs may do this at once, for two rooms: `update` keeps both. */
const see =
  (room: string, at: number) =>
  (seen: Record<string, number> = {}): Record<string, number> => ({
    ...seen,
    [room]: Math.max(seen[room] ?? 0, at),
  });
