import { redisPubSub } from "@lanai/pubsub-redis";
import { Cluster } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen } from "./fixture.ts";
import { newPrefix } from "./servers.ts";
import { type Silencer, startSilencer } from "./silencer.ts";

let cluster: RedisCluster;
let silencers: Silencer[];

beforeAll(async () => {
  cluster = await startRedisCluster();
  silencers = await Promise.all(cluster.nodes.map(({ port }) => startSilencer(port)));
});
afterAll(async () => {
  await Promise.all((silencers ?? []).map((it) => it[Symbol.asyncDispose]()));
  await cluster?.stop();
});

/** A client that reaches each node by a way on which replies can be lost. */
const throughSilencers = () => {
  const entries = cluster.nodes.map(({ host, port }, n) => [
    `${host}:${port}`,
    { host, port: (silencers[n] as Silencer).port },
  ]);
  const client = new Cluster([{ port: (silencers[0] as Silencer).port }], {
    natMap: Object.fromEntries(entries),
    clusterRetryStrategy: () => 20,
    redisOptions: { commandTimeout: 200 },
  });
  client.on("error", () => {});
  return client;
};

test.each([
  ["classic", false],
  ["sharded", true],
] as const)(
  "P10: on a cluster with %s channels a publish that is sent again is done once, in order",
  async (_name, sharded) => {
    const prefix = newPrefix();
    const direct = new Cluster([{ port: cluster.nodes[0].port }]);
    const client = throughSilencers();
    const there = redisPubSub(direct, { prefix, sharded });
    const here = redisPubSub(client, { prefix, sharded, timeout: 400 });
    await there.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const listeners = [await listen(there, "kept.x"), await listen(there, "plain.x")];
    const subjects = ["kept.x", "plain.x"];
    let last = 0;
    for (const subject of subjects) await until(() => here.publish(subject, `${++last}`));
    for (let round = 0; round < 3; round++) {
      for (const silencer of silencers) silencer.isSilent = true;
      for (let n = 0; n < 2; n++) {
        last += 1;
        const calls = subjects.map((subject) => here.publish(subject, `${last}`));
        for (const settled of await Promise.allSettled(calls)) {
          expect(settled).toMatchObject({ reason: { code: "ERR_PUBSUB_UNAVAILABLE" } });
        }
      }
      for (const silencer of silencers) silencer.cut();
      for (const subject of subjects) {
        await until(() => here.publish(subject, `${++last}`));
      }
    }
    for (const { texts } of listeners) {
      await until(() => expect(texts.length).toBeGreaterThan(3));
      const numbers = texts.map(Number);
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    }
    const stored = await there.history("kept.x", Infinity);
    await until(() => expect(stored.map(({ data }) => String(data))).toEqual(listeners[0]?.texts));
    await Promise.all([here.close(), there.close()]);
    client.disconnect();
    direct.disconnect();
  },
);
