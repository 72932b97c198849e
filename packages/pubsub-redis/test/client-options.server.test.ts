import { redisPubSub } from "@lanai/pubsub-redis";
import type { Cluster, Redis } from "ioredis";
import { expect } from "vitest";
import { connected, testClientOptions } from "../../../scripts/testing/client-options.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen } from "./fixture.ts";
import { newPrefix } from "./servers.ts";

/** A backend with both kinds of subjects keeps every promise, also after a silence. */
async function keepsItsPromises(client: Redis | Cluster): Promise<void> {
  await connected(client);
  const backend = redisPubSub(client, { prefix: newPrefix() });
  await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  const kept = await listen(backend, "kept.a", { replay: 1 });
  const plain = await listen(backend, "plain.*");
  await backend.publish("kept.a", "1", { messageId: "1" });
  await backend.publish("plain.a", "1");
  // As long as the longest of the time-outs of sockets above.
  await new Promise((resolve) => setTimeout(resolve, 350));
  await backend.publish("kept.a", "2");
  await backend.publish("plain.a", "2");
  for (const { texts, gaps, errors } of [kept, plain]) {
    await until(() => expect(texts).toEqual(["1", "2"]));
    expect([gaps, errors]).toEqual([[], []]);
  }
  expect(await backend.history("kept.a", 5)).toHaveLength(2);
  await backend.close();
  client.disconnect();
}

const USERS = { listed: "redis-pubsub.server.test.ts connects with a user" };

testClientOptions({
  readme: new URL("../README.md", import.meta.url),
  make: (client) => redisPubSub(client),
  keepsItsPromises,
  redis: {
    autoPipeliningIgnoredCommands: {
      harmless: { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ["ping"] },
    },
    password: USERS,
    username: USERS,
  },
  cluster: {
    redisOptions: { harmless: { redisOptions: { commandTimeout: 2_000, socketTimeout: 300 } } },
  },
  allowedOnNodes: ["role"],
});
