import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { requireSession, session } from "@lanai/session";
import { attachUpgrade, type UpgradedSocket } from "@lanai/websocket";
import Koa from "koa";

const room = new Set<UpgradedSocket>();
const router = new Router();

router.post("/sign-in/:name", (ctx) => {
  ctx.session.login(String(ctx.params.name));
  ctx.status = 204;
});

router.get("/chat", requireSession({ user: true }), async (ctx) => {
  const { userId } = ctx.session;
  const socket = await ctx.upgrade();
  room.add(socket);
  socket.on("close", () => room.delete(socket));
  socket.on("message", (text) => {
    for (const member of room) member.send(`${userId}: ${text}`);
  });
});

const app = new Koa();
app.use(sameOrigin());
app.use(session());
app.use(router.routes());

const server = app.listen(Number(process.env.PORT ?? 3000));
const upgrades = attachUpgrade(server, app);

process.once("SIGTERM", () => {
  server.close();
  void upgrades.close({ over: 5_000 });
});
