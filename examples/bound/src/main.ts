import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:https";
import Router from "@koa/router";
import { createClients } from "@lanai/clients";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, requireSession } from "@lanai/session";
import { boundSessions, requireBound } from "@lanai/session-bound";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";

const sessions = createSessions();
const clients = createClients({ sessions });
const bound = boundSessions({
  sessions,
  clients,
  lifetime: Number(process.env.LIFETIME ?? 600_000),
  grace: 2_000,
  // Who has lost the device's key must be able to sign in again.
  scope: { exclude: ["/sign-in"] },
});

const router = new Router();

router.get(["/", "/sign-in"], (ctx) => {
  ctx.type = "html";
  ctx.body = createReadStream(new URL("page.html", import.meta.url));
});

// An app would ask for a password here.
router.post("/sign-in", (ctx) => {
  ctx.session.login("ada");
  ctx.redirect("/");
});

router.post("/sign-out", async (ctx) => {
  await ctx.session.destroy();
  ctx.redirect("/");
});

router.get("/account", requireSession({ user: true }), (ctx) => {
  ctx.body = { user: ctx.session.userId, isBound: bound.deviceOf(ctx) !== undefined };
});

router.get("/transfer", requireBound(), (ctx) => {
  ctx.body = "This works on the device of the session alone.\n";
});

router.get("/live", requireSession({ user: true }), async (ctx) => {
  const listener = await bound.clients.attach(ctx);
  listener.send("hello", ctx.session.userId);
});

const app = new Koa();
app.use(sessions.middleware());
app.use(clients.middleware());
app.use(bound);
app.use(sameOrigin());
app.use(router.routes());

const certificate = {
  key: readFileSync(process.env.KEY ?? "key.pem"),
  cert: readFileSync(process.env.CERT ?? "cert.pem"),
};
const handle = app.callback();
const server = createServer(certificate, (request, response) => void handle(request, response));
attachUpgrade(server, app);
server.listen(Number(process.env.PORT ?? 3000), () => console.log("listening"));
