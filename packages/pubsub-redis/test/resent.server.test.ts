import { type RedisPubSubOptions, redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen, openBackend } from "./fixture.ts";
import { newPrefix } from "./servers.ts";
import { startSilencer } from "./silencer.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server?.stop();
});

const clients = { 5: Redis5 as unknown as typeof Redis, 6: Redis };
const variants = ([5, 6] as const).flatMap((version) =>
  [undefined, 150].flatMap((commandTimeout) =>
    [null, 20].flatMap((maxRetriesPerRequest) =>
      [false, true].map((sharded) => ({ version, commandTimeout, maxRetriesPerRequest, sharded })),
    ),
  ),
);

/** The short form has one of each value; the long one all combinations. */
const chosen = process.env.LONG ? variants : variants.filter((_, n) => n % 5 === 2 || n === 15);

test.for(chosen)(
  "P10: a publish that was given up and is sent again by ioredis is taken at most once: %o",
  async ({ version, commandTimeout, maxRetriesPerRequest, sharded }) => {
    const options: RedisPubSubOptions = { prefix: newPrefix(), sharded };
    await using silencer = await startSilencer(server.port);
    await using there = openBackend(server.port, options);
    const client = new clients[version]({
      port: silencer.port,
      maxRetriesPerRequest,
      retryStrategy: () => 20,
      ...(commandTimeout && { commandTimeout }),
    });
    client.on("error", () => {});
    const backend = redisPubSub(client, { ...options, timeout: 300 });
    await there.backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const kept = await listen(there.backend, "kept.x");
    const plain = await listen(there.backend, "plain.x");
    // A busy machine may exceed so short a timeout: what was given up isn't published again.
    let attempts = 0;
    const numbered = (text: string) => `${text} ${String(++attempts).padStart(5, "0")}`;
    for (const subject of ["kept.x", "plain.x"]) {
      await until(() => backend.publish(subject, numbered("0")));
    }

    silencer.isSilent = true;
    for (const text of ["1", "2", "3"]) {
      const calls = ["kept.x", "plain.x"].map((subject) => backend.publish(subject, text));
      for (const settled of await Promise.allSettled(calls)) {
        expect(settled).toMatchObject({ reason: { code: "ERR_PUBSUB_UNAVAILABLE" } });
        if (text === "1") {
          expect(settled).toMatchObject({
            reason: { message: expect.stringContaining("outcome is unknown") },
          });
        }
      }
    }
    silencer.cut();
    // Behind whatever the client sends again, on the same connection.
    for (const subject of ["kept.x", "plain.x"]) {
      await until(() => backend.publish(subject, numbered("end")));
    }
    const { backend: other } = there;
    for (const { texts } of [kept, plain]) {
      await until(() => expect(texts.at(-1)).toMatch("end"));
      const ordered = [...new Set(texts)].sort();
      expect(texts).toEqual(ordered);
    }
    expect((await other.history("kept.x", 100)).map(({ data }) => `${data}`)).toEqual(kept.texts);
    await backend.close();
    client.disconnect();
  },
);

describe("P10: a publish that is sent again to a Redis that", () => {
  /** Publishes once over a way on which the reply is lost, then does something, and lets it be sent again. */
  async function publishLost(port: number, meanwhile: (admin: Redis) => Promise<unknown>) {
    await using silencer = await startSilencer(port);
    await using there = openBackend(port);
    await using here = openBackend(silencer.port);
    const admin = new Redis(port, { retryStrategy: () => 20 });
    admin.on("error", () => {});
    await there.backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const kept = await listen(there.backend, "kept");
    const plain = await listen(there.backend, "plain");
    const both = (text: string) =>
      Promise.allSettled(["kept", "plain"].map((it) => here.backend.publish(it, text)));
    await both("1");
    silencer.isSilent = true;
    const lost = both("2");
    for (const { texts } of [kept, plain]) await until(() => expect(texts.at(-1)).toBe("2"));
    await meanwhile(admin);
    silencer.cut();
    const settled = await lost;
    for (const { subscription } of [kept, plain]) {
      await until(() => expect(subscription.status).toBe("live"));
    }
    expect((await both("3")).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
    for (const { texts } of [kept, plain]) {
      await until(() => expect(texts.at(-1)).toBe("3"));
      expect(texts).toEqual(["1", "2", "3"]);
    }
    admin.disconnect();
    return settled;
  }

  const unknown = {
    status: "rejected",
    reason: {
      code: "ERR_PUBSUB_UNAVAILABLE",
      message: expect.stringContaining("outcome is unknown"),
    },
  };

  test("remembers it resolves, and it is done once", async () => {
    await using own = await startRedis();
    expect(await publishLost(own.port, async () => {})).toMatchObject([
      { status: "fulfilled" },
      { status: "fulfilled" },
    ]);
  });

  test("has forgotten the publisher, as after ten minutes, is done once, and reported as unknown", async () => {
    await using own = await startRedis();
    const settled = await publishLost(own.port, async (admin) => {
      const numbers = await admin.keys("*:by:*");
      expect(numbers.length).toBeGreaterThan(0);
      for (const key of numbers) expect(await admin.pttl(key)).toBeGreaterThan(500_000);
      await admin.del(...numbers);
    });
    expect(settled).toMatchObject([unknown, unknown]);
  });

  test("was restarted and lost its data is done once, and reported as unknown", async () => {
    await using own = await startRedis();
    const settled = await publishLost(own.port, () => own.restart());
    expect(settled).toMatchObject([unknown, unknown]);
  });
});

test("a message that Redis can't store is reported, and its batch is published without it", async () => {
  await using own = await startRedis();
  await using opened = openBackend(own.port);
  const { backend, client } = opened;
  for (const name of ["a", "b"]) await backend.ensureStream({ name, subjects: [`${name}.>`] });
  const { texts } = await listen(backend, ">");
  await client.del("lanai:stream:{a}");
  await client.set("lanai:stream:{a}", "of somebody else");
  const sent = ["b.x", "a.x", "plain", "a.x", "b.x"].map((it, n) => backend.publish(it, `${n}`));
  expect((await Promise.allSettled(sent)).map(({ status }) => status)).toEqual([
    ...["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"],
  ]);
  await until(() => expect(texts).toEqual(["0", "2", "4"]));
  expect(await backend.history("b.x", 9)).toHaveLength(2);
  await client.del("lanai:stream:{a}");
  await backend.publish("a.x", "5");
  await until(() => expect(texts.at(-1)).toBe("5"));
});
