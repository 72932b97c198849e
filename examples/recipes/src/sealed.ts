import { sameOrigin } from "@lanai/same-origin";
import { createSessions, sealedStore } from "@lanai/session";
import Koa from "koa";

// At least 32 bytes each, with commas between them. The first seals, all open. To rotate: "old,new" in
// every process, then "new,old" in every process, then "new" when `maxAge` has passed.
const { SESSION_KEYS = "" } = process.env;
const keys = SESSION_KEYS.split(",");

const sessions = createSessions({ store: sealedStore({ context: "app", keys }) });

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}, kept in your cookie alone\n`;
});
app.listen(3000);
