import Router from "@koa/router";
import type { Clients } from "@lanai/clients";
import type { Middleware } from "koa";
import type { Live } from "./channels.ts";

/** Has a demonstration lose its connections: the tabs may be in another process than its button. */
const cuttable: Middleware = async (ctx, next) => {
  if (ctx.session.get("demo") === "miss-nothing") {
    const { publicId = "none" } = ctx.session;
    await ctx.pubsub.subscribe(`cut.${publicId}`, () => ctx.req.socket.destroy());
  }
  await next();
};

/** The live connection of each tab. It belongs to the session, and ends with it. */
export function live(clients: Clients, channels: Live): Router {
  // What changed between the page and its connection is not missed.
  clients.on("join", ({ id }) => clients.send({ listener: id }, "change"));
  // The list of devices shows which of them have open tabs.
  for (const event of ["join", "leave"] as const) {
    clients.on(event, ({ user }) => user !== undefined && clients.send({ user }, "devices"));
  }
  const router = new Router();
  router.all("/live", clients.middleware(), cuttable, channels.middleware());
  return router;
}
