import { type RedisPubSubOptions, redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test, vi } from "vitest";

const redis = new Redis({ lazyConnect: true });
afterAll(() => redis.disconnect());

describe("what can't be is refused at construction", () => {
  const wrong: [string, unknown, ErrorConstructor, RegExp][] = [
    ["an unknown option", { channel: "x" }, TypeError, /no option "channel": .* prefix, sharded/],
    ["braces in the prefix", { prefix: "{app}:" }, TypeError, /prefix .* got "\{app\}:"/],
    ["a prefix that is no string", { prefix: 5 }, TypeError, /prefix must be a string/],
    ["sharded that is no boolean", { sharded: "yes" }, TypeError, /sharded must be a boolean/],
    ["too many patterns", { maxPatterns: 1_001 }, RangeError, /maxPatterns .* 0 to 1000, got 1001/],
    ["a time-out of 0", { timeout: 0 }, RangeError, /timeout .* from 100/],
    ["a timer that overflows", { timeout: 2 ** 31 }, RangeError, /to 2147483647/],
    ["seconds", { pingInterval: 1.5 }, RangeError, /pingInterval must be an integer/],
    ["no room", { maxWaiting: 0 }, RangeError, /maxWaiting .* from 1 /],
  ];
  test.each(wrong)("%s", (_name, options, type, message) => {
    const make = () => redisPubSub(redis, options as RedisPubSubOptions);
    expect(make).toThrow(type);
    expect(make).toThrow(message);
  });

  test.each([undefined, null, {}, "redis://localhost"])("a client like %j", (client) => {
    expect(() => redisPubSub(client as never)).toThrow(/a Redis or a Cluster of ioredis/);
  });
});

test("P1: what can't be is refused before anything is connected", async () => {
  const duplicate = vi.spyOn(redis, "duplicate");
  const backend = redisPubSub(redis);
  for (const call of [
    () => backend.publish("a b", "1"),
    () => backend.publish("a.*", "1"),
    () => backend.subscribe("a..b", () => {}),
    () => backend.history(">.a", 1),
    () => backend.ensureStream({ name: "a", subjects: ["é".repeat(513)] }),
    () => backend.ensureStream({ name: "a.b", subjects: ["a"] }),
  ]) {
    await expect(call()).rejects.toMatchObject({ code: "ERR_PUBSUB_SUBJECT" });
  }
  await expect(backend.publish("a", "1", { messageId: "" })).rejects.toThrow(TypeError);
  await expect(backend.subscribe("a", () => {}, { replay: -1 })).rejects.toThrow(RangeError);
  expect(redis.status).toBe("wait");
  expect(duplicate).not.toHaveBeenCalled();
  await backend.close();
});

test("a backend that was never used closes at once", async () => {
  const backend = redisPubSub(redis);
  await backend.close();
  expect(redis.status).toBe("wait");
  await expect(backend.publish("a", "1")).rejects.toMatchObject({ code: "ERR_PUBSUB_CLOSED" });
});
