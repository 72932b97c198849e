import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession } from "@lanai/session";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore() });
const router = new Router();

router.post("/sign-in/:user", (ctx) => {
  ctx.session.login(ctx.params.user ?? "");
  ctx.status = 204;
});

/** An app of your own asks its list of roles, and for a fresh sign-in. */
const operators = new Router({ prefix: "/operators" });
operators.use(requireSession({ user: true, impersonated: false }), (ctx, next) =>
  ctx.session.userId === "operator" ? next() : ctx.throw(403),
);

operators.get("/sessions", async (ctx) => {
  const users = new Set<string>();
  for await (const { userId } of sessions.all()) if (userId !== undefined) users.add(userId);
  ctx.body = { sessions: await sessions.count(), users: [...users].sort() };
});

operators.post("/sign-everybody-out", async (ctx) => {
  ctx.body = { ended: await sessions.destroyAll({ everyone: true }) };
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.use(operators.routes());
app.listen(3000);
