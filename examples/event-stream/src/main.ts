import { createReadStream } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { type SseEvent, sse } from "@lanai/sse";
import Koa from "koa";

/** Counts on, a number a second, from the last that its client got. */
async function* count(from: number): AsyncGenerator<SseEvent> {
  for (let n = from + 1; ; n++) {
    yield { id: `${n}`, event: "tick", data: { n, time: new Date() } };
    await wait(1_000);
  }
}

const app = new Koa();
const events = sse();
app.use(events);

app.use(async (ctx) => {
  if (ctx.path === "/events") {
    await ctx.sse(count(Number.parseInt(ctx.lastEventId ?? "0", 10) || 0));
  } else if (ctx.path === "/") {
    ctx.type = "html";
    ctx.body = createReadStream(new URL("page.html", import.meta.url));
  }
});

const server = app.listen(Number(process.env.PORT ?? 3000));

process.once("SIGTERM", () => {
  server.close();
  void events.close();
});
