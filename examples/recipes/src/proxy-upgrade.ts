import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { attachUpgrade } from "@lanai/websocket";
import Koa, { type Context } from "koa";
import { WebSocket } from "ws";

const TARGET = process.env.TARGET ?? "ws://127.0.0.1:4000";
const MOST_WAITING = 1024 * 1024;

/** Codes that stand for no close frame must not be sent (RFC 6455, 7.4.1). */
const sendable = (code: number) => (code === 1005 || code === 1006 ? undefined : code);

/** Connects to the inner server first: if that refuses, so does this one, in plain HTTP. */
async function proxyUpgrade(ctx: Context): Promise<void> {
  const offered = ctx
    .get("Sec-WebSocket-Protocol")
    .split(/\s*,\s*/)
    .filter(Boolean);
  const inner = new WebSocket(TARGET + ctx.url, offered);
  inner.once("open", () => inner.pause());
  const refused = Promise.withResolvers<IncomingMessage>();
  inner.once("unexpected-response", (_request, response) => refused.resolve(response));
  try {
    const answer = await Promise.race([once(inner, "open"), refused.promise]);
    if (!Array.isArray(answer)) {
      ctx.status = answer.statusCode ?? 502;
      return inner.terminate();
    }
  } catch (error) {
    ctx.throw(502, "The inner server can't be reached.", { cause: error });
  }
  inner.on("error", () => inner.terminate());

  let outer: Awaited<ReturnType<typeof ctx.upgrade>>;
  try {
    outer = await ctx.upgrade({ protocols: inner.protocol ? [inner.protocol] : [] });
  } catch (error) {
    inner.terminate();
    throw error;
  }
  outer.on("close", (code, reason) => inner.close(sendable(code), reason));
  outer.on("message", (data, binary) => {
    inner.send(data, { binary }, () => outer.resume());
    if (inner.bufferedAmount > MOST_WAITING) outer.pause();
  });
  inner.on("close", (code, reason) => outer.close(sendable(code), reason));
  inner.on("message", (data, binary) => {
    if (outer.send(data, { binary })) return;
    inner.pause();
    void outer.drained().then(() => inner.resume());
  });
  inner.resume();
}

const app = new Koa();
app.use(async (ctx) => {
  if (ctx.path.startsWith("/inner/")) await proxyUpgrade(ctx);
});
attachUpgrade(app.listen(3000), app);
