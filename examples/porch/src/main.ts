import type { AddressInfo } from "node:net";
import { createPubSub } from "@lanai/pubsub";
import { createSessions } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import { openBackends } from "./backends.ts";
import { porch } from "./porch.ts";

const { PORT = "3000", SOCKET } = process.env;
const port = Number(PORT);
if (!/^\d+$/.test(PORT) || port > 65_535) {
  console.error(`PORT must be a whole number from 0 to 65535, got ${JSON.stringify(PORT)}.`);
  process.exit(1);
}

const backends = await openBackends(process.env);
const sessions = createSessions({ store: backends.store });
const bus = createPubSub({ backend: backends.backend });
const { app, clients, channels } = await porch(sessions, bus);
// A process of `npm run cluster` is reached through nginx only, which says who asks.
app.proxy = SOCKET !== undefined;

const server = app.listen(SOCKET ?? port, () => {
  if (SOCKET) return void process.send?.("listening");
  const address = server.address() as AddressInfo;
  console.log(`The porch is open: http://localhost:${address.port}
Try the four demonstrations on the first page. Then sign in with any name in two browsers, chat in a
room, and end one browser from the devices page of the other.
Ctrl+C stops it.`);
});
attachUpgrade(server, app);

const reasons: Record<string, string> = {
  EADDRINUSE: "is taken",
  EACCES: "may not be used by you",
};

server.once("error", (error: NodeJS.ErrnoException) => {
  const reason = reasons[error.code ?? ""];
  if (!reason) throw error;
  console.error(`Port ${port} ${reason}. Choose another one: PORT=3001 npm start`);
  process.exit(1);
});

/** The tabs come back, to another process where there is one. */
async function stop(): Promise<void> {
  server.close();
  await clients.close();
  await channels.close();
  server.closeAllConnections();
  await bus.close();
  await sessions.close();
  await backends.close();
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    // Whoever is impatient, or a broker that is down, doesn't hold it up.
    process.once(signal, () => process.exit(1));
    void stop().then(() => process.exit());
    setTimeout(() => process.exit(), 5_000).unref();
  });
}
