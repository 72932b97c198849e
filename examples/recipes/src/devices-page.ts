import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore } from "@lanai/session";
import { devicesPage } from "@lanai/session/devices";
import Koa from "koa";

const sessions = createSessions({ store: memoryStore(), devices: { address: "network" } });
const router = new Router();

router.post("/sign-in/:user", (ctx) => {
  ctx.session.login(ctx.params.user ?? "");
  ctx.status = 204;
});

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(router.routes());
app.use(devicesPage({ sessions }));
app.listen(3000);
