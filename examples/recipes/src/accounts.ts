import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession } from "@lanai/session";
import Koa from "koa";

const store = memoryStore();
const app = new Koa();
app.use(sameOrigin());

// A browser has room for three accounts, each a session of its own, with a cookie and a path of its own.
for (const place of [0, 1, 2]) {
  const property = `account${place}`;
  const sessions = createSessions({ store, property, name: property });
  const router = new Router({ prefix: `/u/${place}` });
  router.use(sessions.middleware());

  router.post("/sign-in/:user", (ctx) => {
    sessions.from(ctx).login(ctx.params.user ?? "");
    ctx.status = 204;
  });

  router.get("/", requireSession({ user: true, property }), (ctx) => {
    ctx.body = `Hello ${sessions.from(ctx).userId}\n`;
  });

  router.post("/sign-out", async (ctx) => {
    await sessions.from(ctx).destroy();
    ctx.status = 204;
  });

  router.post("/sign-out-everywhere", requireSession({ user: true, property }), async (ctx) => {
    const { userId: user = "" } = sessions.from(ctx);
    ctx.body = { ended: await sessions.destroyAll({ user }) };
  });

  app.use(router.routes());
}

app.listen(3000);
