import Router from "@koa/router";
import { createSessions } from "@lanai/session";
import { boundSessions, requireBound } from "@lanai/session-bound";
import Koa from "koa";

const sessions = createSessions();
const router = new Router();

router.post("/sign-in", (ctx) => {
  ctx.session.login("ada"); // this response offers the browser to register a key
  ctx.redirect("/");
});

router.get("/", (ctx) => {
  ctx.body = `Hello ${ctx.session.userId ?? "stranger"}\n`;
});

router.get("/transfer", requireBound(), (ctx) => {
  ctx.body = "Only on the device of the session\n";
});

const app = new Koa();
app.use(sessions.middleware());
app.use(boundSessions({ sessions, scope: { exclude: ["/sign-in"] } }));
app.use(router.routes());
app.listen(Number(process.env.PORT ?? 3000));
