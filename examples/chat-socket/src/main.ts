import { createReadStream } from "node:fs";
import Router from "@koa/router";
import { channel, createChannels, type } from "@lanai/channels";
import { createClients } from "@lanai/clients";
import { gracefulShutdown } from "@lanai/clients/lifecycle";
import { createPubSub } from "@lanai/pubsub";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";
import { z } from "zod";

const sessions = createSessions();
const bus = createPubSub();
const clients = createClients({ sessions, pubsub: bus });

const channels = createChannels({
  clients,
  pubsub: bus,
  channels: {
    "room.:id": channel({
      join: ({ session }) => session.userId !== undefined,
      events: {
        said: { schema: type<{ by: string; text: string }>() },
        typing: { schema: type<{ by: string }>(), ephemeral: true },
      },
      calls: {
        say: {
          input: z.object({ text: z.string().min(1).max(500) }),
          handle: async ({ text }, { publish, session }) => {
            await publish("said", { by: session.userId ?? "", text });
          },
        },
        type: {
          input: z.object({}),
          handle: (_input, { publish, session }) => publish("typing", { by: session.userId ?? "" }),
        },
      },
      presence: ({ session }) => ({ name: session.userId ?? "" }),
    }),
  },
});

/** The type of the server's channels, for the page's `connect<Live>`. */
export type Live = typeof channels;

const router = new Router();
router.get("/", (ctx) => {
  ctx.type = "html";
  ctx.body = createReadStream(new URL("page.html", import.meta.url));
});
router.get("/page.js", (ctx) => {
  ctx.type = "js";
  ctx.body = createReadStream(new URL("page.js", import.meta.url));
});
router.get("/lanai/:file", (ctx) => {
  const browser = import.meta.resolve("@lanai/browser/package.json");
  ctx.type = "js";
  ctx.body = createReadStream(
    new URL(`dist/${encodeURIComponent(ctx.params.file ?? "")}`, browser),
  );
});
router.post("/sign-in/:name", (ctx) => {
  ctx.session.login(String(ctx.params.name));
  ctx.status = 204;
});
router.all("/live", channels.middleware());

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use(clients.middleware());
app.use(router.routes());

await bus.ensureStream({ name: "chat", subjects: ["channels.>"], maxMsgs: 10_000 });
const server = app.listen(Number(process.env.PORT ?? 3000));
const upgrades = attachUpgrade(server, app);

gracefulShutdown({
  server,
  // The clients first: they send the pages away one after the other, and handle what is under way.
  live: [clients, channels, upgrades],
  resources: [() => bus.close()],
  delay: Number(process.env.DELAY ?? 5_000),
  over: Number(process.env.OVER ?? 5_000),
});
