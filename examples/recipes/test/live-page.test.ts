import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, type Host } from "@lanai/browser";
import { channel, createChannels, type } from "@lanai/channels";
import { createClients } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { createSessions, memoryStore } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";
import { expect, test } from "vitest";
import { WebSocket } from "ws";

test("a message reaches the page of a signed-in user", async () => {
  const sessions = createSessions({ store: memoryStore() });
  const pubsub = createPubSub();
  const clients = createClients({ sessions, pubsub });
  const lobby = channel({
    join: ({ session }) => session.userId === "ada",
    events: { said: { schema: type<{ text: string }>() } },
  });
  const channels = createChannels({ clients, pubsub, channels: { lobby } });
  const app = new Koa();
  app.use(sessions.middleware()).use(clients.middleware()).use(channels.middleware());
  const server = app.listen(0);
  await once(server, "listening");
  attachUpgrade(server, app);
  const url = `http://localhost:${(server.address() as AddressInfo).port}/live`;

  // Node's WebSocket has no cookies: this one sends those of the session.
  const { headers } = await sessions.create({ userId: "ada" });
  class SignedIn extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols, { headers });
    }
  }
  const node = { URL, fetch, setTimeout, clearTimeout, crypto, performance, console };
  const host = { ...node, WebSocket: SignedIn } as unknown as Host;
  const line = connect<typeof channels>(url, { host });
  const room = line.join("lobby", {});
  const said = new Promise((resolve) => room.on("said", resolve));
  await room.joined;

  await channels.publish("lobby", {}, "said", { text: "aloha" });

  expect(await said).toEqual({ text: "aloha" });
  line.close();
  await clients.close();
  await channels.close();
  server.close();
});
