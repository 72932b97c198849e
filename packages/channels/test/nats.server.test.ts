import { natsPubSub } from "@lanai/pubsub-nats";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { channelsOn } from "./suite.ts";

let server: NatsServer;
let prefix = 0;
const connections: NatsConnection[] = [];

beforeAll(async () => {
  server = await startNats();
});
beforeEach(() => {
  prefix += 1;
});
afterAll(async () => {
  await Promise.all(connections.map((it) => it.close()));
  await server?.stop();
});

channelsOn("NATS", async () => {
  const connection = await connect({ servers: `127.0.0.1:${server.port}`, reconnectTimeWait: 50 });
  connections.push(connection);
  return natsPubSub(connection, { prefix: `app${prefix}` });
}, ["k".repeat(32)]);
