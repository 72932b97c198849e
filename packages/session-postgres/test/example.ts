import { createSessions } from "@lanai/session";
import { postgresStore } from "@lanai/session-postgres";
import Koa from "koa";
import { Pool } from "pg";

// Where the server is comes from PGHOST, PGUSER, PGDATABASE and so on, or from `connectionString`.
const pool = new Pool({ max: 20, connectionTimeoutMillis: 2000, query_timeout: 2000 });
const store = postgresStore(pool);
const sessions = createSessions({ store });

const app = new Koa();
app.use(sessions.middleware());

app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}\n`;
});

void store.migrate().then(() => app.listen(Number(process.env.PORT ?? 3000)));
