import { type RedisClient, type RedisStoreOptions, redisStore } from "@lanai/session-redis";
import { Cluster, Redis } from "ioredis";
import { expect, test } from "vitest";

const redis = new Redis({ lazyConnect: true });

test.each([
  [{ prefix: "a{b}" }, TypeError, 'prefix must be a string without braces, got "a{b}"'],
  [{ prefix: 5 }, TypeError, "prefix must be a string without braces, got 5"],
  [{ maxWaiting: 99 }, RangeError, "maxWaiting must be an integer from 100, got 99"],
  [{ maxWaiting: Infinity }, RangeError, "got Infinity"],
  [{ maxWaiting: "1000" }, TypeError, "maxWaiting must be an integer from 100, got string"],
  [{ ttl: 5 }, TypeError, 'no option "ttl": its options are prefix, maxWaiting'],
  [null, TypeError, "the options must be an object"],
])("the options %o are refused", (options, type, message) => {
  const open = () => redisStore(redis, options as RedisStoreOptions);
  expect(open).toThrow(type);
  expect(open).toThrow(message);
});

test.each([undefined, null, {}, "redis://localhost"])(
  "a client that is %o is refused",
  (client) => {
    expect(() => redisStore(client as unknown as RedisClient)).toThrow(
      "must be a Redis or a Cluster of ioredis",
    );
  },
);

test("a store sends nothing until it is asked, and needs no closing", () => {
  const cluster = new Cluster([{ port: 1 }], { lazyConnect: true });
  for (const client of [redis, cluster]) {
    expect(redisStore(client, { prefix: "", maxWaiting: 100 })).not.toHaveProperty("close");
    expect(client.status).toBe("wait");
  }
});
