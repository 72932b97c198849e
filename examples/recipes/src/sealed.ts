import { createSessions, sealedStore } from "@lanai/session";
import Koa from "koa";

// At least 32 bytes each. To rotate, put a new one in front: the first seals, all open.
const { SESSION_KEY = "", OLD_SESSION_KEY } = process.env;
const keys = OLD_SESSION_KEY === undefined ? [SESSION_KEY] : [SESSION_KEY, OLD_SESSION_KEY];

const sessions = createSessions({ store: sealedStore({ keys }) });

const app = new Koa();
app.use(sessions.middleware());
app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}, kept in your cookie alone\n`;
});
app.listen(3000);
