import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import { type Bus, token } from "@lanai/pubsub";
import { sameOrigin } from "@lanai/same-origin";
import { type Sse, sse } from "@lanai/sse";
import Koa, { type Context } from "koa";

interface Note {
  readonly from: string;
  readonly text: string;
}

/** A page for each path, on which everybody sees what anybody writes, and the last notes on arrival. */
export function wall(bus: Bus, events: Sse = sse()): Koa {
  const app = new Koa();
  app.use(sameOrigin());
  app.use(bus.middleware());
  app.use(events);

  app.use(async (ctx) => {
    const notes = `wall.${token(ctx.path)}`;
    if (ctx.method === "POST") {
      await ctx.pubsub.publish<Note>(notes, await readNote(ctx));
      // Never to "//another.example", which is a path as well.
      ctx.redirect(ctx.path.replace(/^\/+/, "/"));
    } else if (ctx.accepts("html", "text/event-stream") === "text/event-stream") {
      const since = ctx.lastEventId;
      await ctx.sse(ctx.pubsub.events<Note>(notes, { since, replay: 50 }));
    } else {
      ctx.type = "html";
      ctx.body = createReadStream(new URL("page.html", import.meta.url));
    }
  });
  return app;
}

async function readNote(ctx: Context): Promise<Note> {
  if (Number(ctx.get("Content-Length") || Infinity) > 8_192) ctx.throw(413);
  const form = new URLSearchParams(await text(ctx.req));
  const note = { from: form.get("from")?.trim() ?? "", text: form.get("text")?.trim() ?? "" };
  if (note.text === "" || note.text.length > 500 || note.from.length > 50) ctx.throw(422);
  return note;
}
