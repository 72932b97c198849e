// What standstill.test.ts starts and stops: an app whose first request waits for the database's lock.
import type { AddressInfo } from "node:net";
import { createSessions } from "@lanai/session";
import Koa from "koa";
import { sqliteStore } from "../src/index.ts";

const sessions = createSessions({ store: sqliteStore(process.argv[2] as string) });
const app = new Koa();
app.use(sessions.middleware());
app.use((ctx) => {
  ctx.session.set("text", "stored");
  ctx.body = "done";
  process.send?.("writing");
});
const server = app.listen(0, "127.0.0.1", () => {
  process.send?.((server.address() as AddressInfo).port);
});
process.once("disconnect", () => process.exit());
