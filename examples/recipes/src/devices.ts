import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession } from "@lanai/session";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore() });
const router = new Router();

router.post("/sign-in/:user", (ctx) => {
  ctx.session.login(ctx.params.user ?? "");
  ctx.session.set("browser", ctx.get("User-Agent"));
  ctx.status = 204;
});

const devices = new Router({ prefix: "/devices" });
devices.use(requireSession({ user: true }));

devices.get("/", async (ctx) => {
  const { userId: user = "", publicId } = ctx.session;
  const all = await sessions.list({ user });
  ctx.body = all.map((it) => ({ name: it.publicId, here: it.publicId === publicId, ...it }));
});

devices.delete("/:name", async (ctx) => {
  const { userId: user = "" } = ctx.session;
  const found = await sessions.destroyByPublicId({ user }, ctx.params.name ?? "");
  ctx.status = found ? 204 : 404;
});

devices.post("/end-others", async (ctx) => {
  const { userId: user = "", publicId = "" } = ctx.session;
  ctx.body = { ended: await sessions.destroyAll({ user }, { except: publicId }) };
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.use(devices.routes());
app.listen(3000);
