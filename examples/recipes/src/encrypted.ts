import { sameOrigin } from "@lanai/same-origin";
import { createSessions, encrypted } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import Koa from "koa";

// At least 32 bytes each, with commas between them. The first seals, all open. To rotate: "old,new" in
// every process, then "new,old" in every process, then "new" when what the old one sealed has expired.
const { SESSION_KEYS = "", SESSION_FILE = "sessions.db" } = process.env;
const keys = SESSION_KEYS.split(",");

const sessions = createSessions({ store: encrypted(sqliteStore(SESSION_FILE), { keys }) });

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(async (ctx) => {
  const visits = await ctx.session.update("visits", (count) => Number(count ?? 0) + 1);
  ctx.body = `Visit ${visits}, which the file doesn't tell\n`;
});
app.listen(3000);
