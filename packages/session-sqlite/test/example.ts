import { createSessions } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import Koa from "koa";

const store = sqliteStore(process.env.SESSIONS ?? "sessions.db");
const sessions = createSessions({ store });

const app = new Koa();
app.use(sessions.middleware());

app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}\n`;
});

const server = app.listen(Number(process.env.PORT ?? 3000));

process.once("SIGTERM", () => {
  server.close(() => void sessions.close());
});
