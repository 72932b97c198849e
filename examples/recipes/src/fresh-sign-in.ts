import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession, returnPath } from "@lanai/session";
import Koa from "koa";

const MINUTE = 60_000;
const sessions = createSessions({ store: memoryStore() });
const router = new Router();

router.post("/sign-in", (ctx) => {
  // Here you would have checked a password.
  ctx.session.login("ada", { methods: ["pwd"] });
  ctx.redirect("/");
});

router.get("/confirm", (ctx) => {
  ctx.type = "html";
  ctx.body = '<form method="post"><input name="code"><button>Confirm</button></form>';
});

router.post("/confirm", requireSession({ user: true }), (ctx) => {
  // Here you would have checked a one-time code.
  ctx.session.reauthenticate({ methods: ["otp"] });
  ctx.redirect(returnPath(ctx.query.to));
});

const isFresh = requireSession({
  within: 5 * MINUTE,
  methods: ["otp"],
  redirect: (_ctx, returnTo) => `/confirm?to=${encodeURIComponent(returnTo)}`,
});
router.get("/payment", isFresh, (ctx) => {
  ctx.body = `Signed in at ${ctx.session.authenticatedAt?.toISOString()}\n`;
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.listen(3000);
