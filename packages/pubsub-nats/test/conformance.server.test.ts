import { pubsubConformance } from "@lanai/pubsub/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { type Peer, startPeer } from "../../pubsub/test/peer.ts";
import { tenAtOnce } from "../../pubsub/test/ten-at-once.ts";
import { openBackend } from "./fixture.ts";
import type { PeerOptions } from "./peer-process.ts";
import { subscriptionsOf } from "./servers.ts";

let server: NatsServer;
let peer: Peer<PeerOptions>;

beforeAll(async () => {
  server = await startNats();
  peer = startPeer(new URL("./peer-process.ts", import.meta.url));
});
afterAll(async () => {
  await peer?.kill();
  await server?.stop();
});

pubsubConformance({
  name: "NATS, two processes",
  test: (name, fn) => test(name, { timeout: 120_000 }, fn),
  async open() {
    const { port } = server;
    const [here, again] = await Promise.all([openBackend(server), peer.open({ port })]);
    return {
      backend: here.backend,
      again,
      restart: () => server.restart(),
      wire: () => subscriptionsOf(server),
      close: async () => here[Symbol.asyncDispose](),
    };
  },
});

test("the suite ten times at once holds on one backend", async () => {
  await using here = await openBackend(server, { timeout: 30_000 });
  await using there = await openBackend(server, { timeout: 30_000 });
  const ran = await tenAtOnce({ backend: here.backend, again: there.backend });
  expect(ran).toBeGreaterThan(300);
}, 60_000);
