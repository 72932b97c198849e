import { sameOrigin } from "@lanai/same-origin";
import { cookieTracker, createSessions, firstOf, headerTracker, memoryStore } from "@lanai/session";
import Koa from "koa";

// A browser brings a cookie, a program the header Session-ID, and gets a new id the same way.
const tracker = firstOf(cookieTracker({ name: "visit", sameSite: "strict" }), headerTracker());
const sessions = createSessions({ store: memoryStore(), tracker });

const app = new Koa();
app.proxy = true; // Behind a proxy that ends HTTPS: the cookie is then __Host-Http-visit, and Secure.
app.use(sameOrigin());
app.use(sessions.middleware());
app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}\n`;
});
app.listen(3000);
