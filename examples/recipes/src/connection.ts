import { beforeHead, connectionSignal, keepHeaders } from "@lanai/connection";
import Koa, { type Context, type Next } from "koa";

/** Sends the time that the response took: also with an error, for which Koa clears the headers. */
async function serverTiming(ctx: Context, next: Next): Promise<void> {
  const start = performance.now();
  const leave = beforeHead(ctx, () =>
    keepHeaders(ctx, () => {
      ctx.res.setHeader("Server-Timing", `app;dur=${(performance.now() - start).toFixed(1)}`);
    }),
  );
  try {
    await next();
  } finally {
    await leave();
  }
}

const app = new Koa();
app.use(serverTiming);
app.use((ctx) => {
  connectionSignal(ctx).addEventListener("abort", () => console.log("the connection has ended"));
  if (ctx.path === "/fails") ctx.throw(403);
  ctx.body = "ok\n";
});
app.listen(3000);
