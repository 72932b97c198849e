import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { startWatchedRedis } from "../../../scripts/services/redis-sentinel.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen, numbers } from "./fixture.ts";

test("P5: after a failover by Sentinel what is retained is whole, and plain subjects report a gap", async () => {
  await using servers = await startWatchedRedis();
  const client = new Redis({
    name: servers.name,
    sentinels: [servers.sentinel],
    retryStrategy: () => 20,
    sentinelRetryStrategy: () => 20,
  });
  client.on("error", () => {});
  const backend = redisPubSub(client, { timeout: 5_000 });
  await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  const listeners = await Promise.all([
    listen(backend, "kept.a"),
    listen(backend, "kept.*", { replay: Infinity }),
  ]);
  const plain = await listen(backend, "plain");
  for (const text of numbers(1, 100)) await backend.publish("kept.a", text);
  // Replicas follow on their own time: what they don't have at a failover is lost.
  expect(await client.wait(1, 10_000)).toBe(1);
  await servers.master.kill();

  for (const text of numbers(101, 200)) {
    await until(() => backend.publish("kept.a", text, { messageId: text }));
  }
  for (const { texts, gaps, errors } of listeners) {
    await until(() => expect(texts.length).toBe(200));
    expect(texts).toEqual(numbers(1, 200));
    expect([gaps, errors]).toEqual([[], []]);
  }
  await until(() => expect(plain.gaps).toEqual([{ subject: "plain", reason: "reconnect" }]));
  await backend.publish("plain", "again");
  await until(() => expect(plain.texts).toEqual(["again"]));
  const admin = new Redis(servers.replica.port);
  expect((await admin.role())[0]).toBe("master");
  admin.disconnect();
  await backend.close();
  client.disconnect();
});
