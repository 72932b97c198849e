import { pubsubProcesses } from "@lanai/pubsub/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { tenAtOnce } from "../../pubsub/test/ten-at-once.ts";
import { openBackend } from "./fixture.ts";
import { subscriptionsOf } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

pubsubProcesses({
  name: "NATS, two processes",
  test: (name, fn) => test(name, fn),
  after: afterAll,
  backend: () => ({
    module: new URL("./open-backend.ts", import.meta.url).href,
    options: { port: server.port },
  }),
  restart: () => server.restart(),
  wire: () => subscriptionsOf(server),
});

test("the suite ten times at once holds on one backend", async () => {
  // No case passes or fails by how long the server takes, which is busy with all of them.
  await using here = await openBackend(server, { timeout: 60_000 });
  await using there = await openBackend(server, { timeout: 60_000 });
  const ran = await tenAtOnce({ backend: here.backend, again: there.backend });
  expect(ran).toBeGreaterThan(300);
});
