import Router from "@koa/router";
import { channel, createChannels, type } from "@lanai/channels";
import { createClients } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, requireSession } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";

const sessions = createSessions();
const bus = createPubSub();
const clients = createClients({ sessions, pubsub: bus });

/** The members of each room. In an app of your own this is a table of the database. */
const rooms = new Map([["general", new Set(["ada", "grace"])]]);

const channels = createChannels({
  clients,
  pubsub: bus,
  channels: {
    "room.:id": channel({
      join: ({ session, params }) => rooms.get(params.id)?.has(session.userId ?? "") === true,
      events: { said: { schema: type<{ text: string }>() } },
    }),
  },
});

export type Live = typeof channels;

const router = new Router();
router.post("/sign-in/:name", (ctx) => {
  ctx.session.login(String(ctx.params.name));
  ctx.status = 204;
});
router.delete("/rooms/:id/members/:user", requireSession({ user: true }), async (ctx) => {
  // Who may do this is for the app to say.
  if (ctx.session.userId !== "grace") ctx.throw(403);
  const { id = "", user = "" } = ctx.params;
  // The right first: otherwise the page joins again.
  rooms.get(id)?.delete(user);
  await channels.remove({ user }, "room.:id", { id });
  ctx.status = 204;
});
router.all("/live", channels.middleware());

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(clients.middleware());
app.use(router.routes());
attachUpgrade(app.listen(Number(process.env.PORT ?? 3000)), app);
