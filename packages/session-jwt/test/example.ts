import { randomBytes } from "node:crypto";
import { createSessions, requireSession } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import Koa from "koa";

const sessions = createSessions({
  tracker: jwtTracker({
    // Without one of its own it signs everybody out when it starts again.
    secret: process.env.SESSION_SECRET ?? randomBytes(32),
    issuer: "https://app.example",
  }),
});

const app = new Koa();
app.use(sessions.middleware());

app.use(async (ctx, next) => {
  if (ctx.path !== "/sign-in") return next();
  ctx.session.login("ada");
  ctx.status = 204;
});

app.use(requireSession({ user: true }));

app.use((ctx) => {
  ctx.body = `Hello ${ctx.session.userId}\n`;
});

app.listen(Number(process.env.PORT ?? 3000));
