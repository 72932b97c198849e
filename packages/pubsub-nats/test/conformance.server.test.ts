import { pubsubConformance } from "@lanai/pubsub/testing";
import { natsPubSub } from "@lanai/pubsub-nats";
import { afterAll, beforeAll, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { connectTo, subscriptionsOf } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

pubsubConformance({
  name: "NATS",
  test: (name, fn) => test(name, { timeout: 120_000 }, fn),
  async open() {
    const connections = await Promise.all([connectTo(server), connectTo(server)]);
    const [backend, again] = connections.map((it) => natsPubSub(it));
    if (!backend || !again) throw new Error("unreachable");
    return {
      backend,
      again,
      restart: () => server.restart(),
      wire: () => subscriptionsOf(server),
      async close() {
        await Promise.all(connections.map((it) => it.close()));
      },
    };
  },
});
