import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis, type RedisOptions } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { startFailoverRedis } from "../../../scripts/services/redis-failover.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen, numbers, PATIENT } from "./fixture.ts";

/** As in the README. */
const CONNECTS_AGAIN = {
  reconnectOnError: (error: Error) => (error.message.includes("READONLY") ? 2 : false),
} as const;

async function opened(options: Pick<RedisOptions, "reconnectOnError">) {
  const servers = await startFailoverRedis();
  onTestFinished(() => servers[Symbol.asyncDispose]());
  const open = () => {
    const client = new Redis(servers.port, { retryStrategy: () => 20, ...options });
    client.on("error", () => {});
    const backend = redisPubSub(client, { ...PATIENT, pingInterval: 500 });
    onTestFinished(async () => {
      await backend.close();
      client.disconnect();
    });
    return { client, backend };
  };
  const { client, backend } = open();
  await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  return { servers, client, backend, open };
}

test.each(["kept.a", "plain"])(
  "P10: a failover under a living connection loses and doubles nothing on %s, if the client connects again",
  async (subject) => {
    const { servers, backend, open } = await opened(CONNECTS_AGAIN);
    const before = [await listen(backend, subject), await listen(open().backend, subject)];
    for (const text of numbers(1, 10)) await backend.publish(subject, text);
    await servers.failOver();
    // On the new primary, while those before it still hear the server that is a replica now.
    const after = await listen(open().backend, subject);
    for (const text of numbers(11, 20)) await backend.publish(subject, text);
    await until(() => expect(after.texts).toEqual(numbers(11, 20)));
    for (const { texts, gaps, errors } of before) {
      await until(() => expect(texts).toEqual(numbers(1, 20)));
      expect([gaps, errors]).toEqual([[], []]);
    }
  },
);

test.each(["kept.a", "plain"])(
  "a publish on %s after such a failover rejects and reaches nobody, until the client connects again",
  async (subject) => {
    const { servers, client, backend } = await opened({});
    const { texts } = await listen(backend, subject);
    await backend.publish(subject, "1");
    await servers.failOver();
    for (let n = 0; n < 3; n++) {
      await expect(backend.publish(subject, "lost")).rejects.toMatchObject({
        code: "ERR_PUBSUB_UNAVAILABLE",
      });
    }
    client.disconnect(true);
    await until(() => backend.publish(subject, "2"));
    await until(() => expect(texts).toEqual(["1", "2"]));
  },
);
