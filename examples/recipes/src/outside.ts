import { setTimeout as wait } from "node:timers/promises";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore } from "@lanai/session";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore() });

/** Goes on after the answer has left, so it opens the session anew. */
async function report(id: string): Promise<void> {
  await wait(20);
  const session = await sessions.open(id);
  if (session === undefined) return; // signed out meanwhile
  session.set("report", "ready");
  await session.commit();
}

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(async (ctx) => {
  if (ctx.path === "/start") {
    ctx.session.set("report", "under way");
    await ctx.session.commit(); // or the session would have no id yet
    const { id } = ctx.session;
    if (id !== undefined) report(id).catch(console.error);
  }
  ctx.body = `${ctx.session.getString("report", "none")}\n`;
});
app.listen(3000);
