import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { createSessions, memoryStore } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import type { Page } from "playwright-core";
import { porch } from "../src/porch.ts";

/** The app on a free port, whose clock a test moves. */
export async function startSite() {
  let advanced = 0;
  const store = memoryStore({ clock: () => Date.now() + advanced });
  const sessions = createSessions({ store });
  // However slow the machine is, wrong passwords come at one moment.
  const { app, clients, channels } = await porch(sessions, undefined, () => advanced);
  app.silent = true;
  app.use((ctx) => {
    if (ctx.path === "/fails") throw new Error("on purpose");
    if (ctx.path === "/unreachable") ctx.throw(503);
  });
  const server = app.listen(0, "127.0.0.1");
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  attachUpgrade(server, app);
  const sockets = new Set<Duplex>();
  server.on("upgrade", (_, socket) => sockets.add(socket));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ url: `http://127.0.0.1:${port}`, sockets },
    advance(ms: number) {
      advanced += ms;
    },
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await clients.close();
      await channels.close();
    },
  };
}

export async function signIn(tab: Page, name: string): Promise<void> {
  await tab.goto("/sign-in");
  await tab.getByLabel("Name").fill(name);
  await tab.getByLabel("Password").fill("aloha");
  await tab.locator("main").getByRole("button", { name: "Sign in" }).click();
  await tab.waitForURL("**/home");
}
