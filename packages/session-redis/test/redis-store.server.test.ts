import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { createSessions } from "@lanai/session";
import { isPaged, type Key } from "@lanai/session/store";
import { type RedisStore, type RedisStoreEvent, redisStore } from "@lanai/session-redis";
import { Redis, type RedisOptions } from "ioredis";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { advance } from "./advance.ts";
import { startProxy } from "./proxy.ts";
import { change, increment, MINUTE, newKey, record } from "./records.ts";

let server: RedisServer;
let redis: Redis;
let store: RedisStore;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port);
  store = redisStore(redis);
});
beforeEach(() => redis.flushdb());
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

const inRedis = (key: string) => `lanai:{${key.slice(0, 2)}}${key.slice(2)}`;

const textOf = async (key: string, name: string) => {
  const loaded = await store.load(key);
  return loaded.status === "live" ? loaded.record.values.get(name) : undefined;
};

/** How often scripts were run. */
const scripts = async () => {
  const stats = await redis.info("commandstats");
  return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(stats)?.[1] ?? 0);
};

const failureOf = (work: () => Promise<unknown>): Promise<Error> =>
  work().then(
    () => expect.unreachable("it should have failed"),
    (error) => error,
  );

test("goes through all sessions by SCAN, and never by KEYS", async () => {
  expect(isPaged(store)).toBe(true);
  for (let n = 0; n < 3; n++) await store.create(newKey(), record());
  await redis.config("RESETSTAT");
  expect(await createSessions({ store }).count()).toBe(3);
  const stats = await redis.info("commandstats");
  expect(stats).toContain("cmdstat_scan:");
  expect(stats).not.toContain("cmdstat_keys:");
});

describe("loads that come together", () => {
  test("are one command for up to 16 of them", async () => {
    const keys = Array.from({ length: 150 }, () => newKey());
    for (const key of keys) {
      await store.create(key, record({ values: new Map([["whose", key]]) }));
    }
    const before = await scripts();
    const owners = await Promise.all(keys.map((key) => textOf(key, "whose")));
    expect(owners).toEqual(keys);
    expect((await scripts()) - before).toBe(10);
  });

  test("fail alone", async () => {
    const [good, bad] = [newKey(), newKey()];
    await store.create(good, record());
    await redis.set(inRedis(bad), "a string");
    const [one, other, third] = await Promise.allSettled([
      store.load(good),
      store.load(bad),
      store.load(newKey()),
    ]);
    expect(one).toMatchObject({ value: { status: "live" } });
    expect(other).toMatchObject({ reason: { code: "ERR_SESSION_DECODE" } });
    expect(third).toMatchObject({ value: { status: "none" } });
  });
});

describe("a key that holds something else", () => {
  test("is ERR_SESSION_DECODE to every call but a destroy, and is left as it is", async () => {
    const [key, other] = [newKey(), newKey()];
    await redis.set(inRedis(key), "a string");
    await store.create(other, record());
    const calls = [
      () => store.load(key),
      () => store.create(key, record()),
      () => store.commit(key, change({ touch: true })),
      () => store.commit(other, change({ renewTo: key })),
    ];
    for (const call of calls) {
      expect(await failureOf(call)).toMatchObject({ code: "ERR_SESSION_DECODE" });
    }
    expect(await store.destroy(key)).toBe(undefined);
    expect(await redis.get(inRedis(key))).toBe("a string");
    expect(await store.load(other)).toMatchObject({ status: "live" });
  });

  test("is an error also if it is another program's hash", async () => {
    const key = newKey();
    await redis.hset(inRedis(key), { user: "ada" });
    expect(await failureOf(() => store.load(key))).toMatchObject({ code: "ERR_SESSION_DECODE" });
    expect(await store.destroy(key)).toBe(undefined);
    expect(await redis.hgetall(inRedis(key))).toEqual({ user: "ada" });
  });
});

describe("scripts", () => {
  test("are sent again when Redis has forgotten them", async () => {
    const key = newKey();
    await store.create(key, record({ owners: new Set(["ada"]) }));
    const calls = [
      () => store.load(key),
      () => store.commit(key, increment(0)),
      () => store.list("ada"),
      () => store.destroyAll("ada"),
    ];
    for (const call of calls) {
      await redis.script("FLUSH");
      await call();
    }
    expect(await store.load(key)).toEqual({ status: "none" });
  });

  test("work with a client that pipelines by itself, and makes strings of numbers", async () => {
    const options = { enableAutoPipelining: true, stringNumbers: true };
    const client = new Redis(server.port, options);
    const other = redisStore(client);
    const keys = Array.from({ length: 20 }, () => newKey());
    await Promise.all(keys.map((key) => other.create(key, record())));
    const loads = await Promise.all(keys.map(async (key) => other.load(key)));
    for (const loaded of loads) {
      expect(loaded).toMatchObject({ status: "live", now: expect.any(Number) });
    }
    client.disconnect();
  });
});

test("a user of an ACL may be held to what the README lists", async () => {
  const commands = [
    ...[
      "EVALSHA",
      "EVAL",
      "TIME",
      "SET",
      "GET",
      "EXISTS",
      "HGET",
      "HMGET",
      "HGETALL",
      "HKEYS",
      "HEXISTS",
    ],
    ...["HSET", "HDEL", "DEL", "RENAME", "PEXPIRE", "PEXPIREAT"],
    ...["ZADD", "ZRANGE", "ZREM", "ZREMRANGEBYSCORE", "INFO"],
  ];
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  for (const command of commands) expect(readme).toContain(`\`${command}\``);

  const rules = ["on", ">secret", "~acl:*", ...commands.map((it) => `+${it.toLowerCase()}`)];
  await redis.call("ACL", "SETUSER", "app", ...rules);
  const options = { username: "app", password: "secret" };
  const client = new Redis(server.port, options);
  const limited = redisStore(client, { prefix: "acl:" });
  const [key, next, third] = [newKey(), newKey(), newKey()];
  const owners = new Set(["ada"]);
  const limitOwner = { owner: "ada", limit: 1, overflow: "end-oldest" } as const;
  const given = record({ owners, limitOwner });
  await limited.create(key, given);
  await limited.commit(key, increment(0));
  await limited.commit(key, change({ renewTo: next, delete: new Set(["count"]) }));
  expect(await limited.load(key)).toEqual({ status: "renewed" });
  expect(await limited.list("ada")).toHaveLength(1);
  await limited.commit(next, change({ removeOwners: owners }));
  await limited.commit(next, change({ addOwners: owners }));
  expect(await limited.destroyByPublicId("ada", given.publicId, "1")).toBeDefined();
  await limited.create(third, record({ owners }));
  await limited.create(newKey(), record({ owners, limitOwner }));
  expect(await limited.destroyAll("ada", { operation: "2" })).toHaveLength(1);
  client.disconnect();
  await redis.call("ACL", "DELUSER", "app");
});

describe("errors", () => {
  test("hold no key, no value and no owner", async () => {
    const key = newKey();
    const secrets = [key.slice(3), "a secret value", "an owner"];
    const given = record({
      values: new Map([["a", "a secret value"]]),
      owners: new Set(["an owner"]),
    });
    await redis.set(inRedis(key), "a string");
    const failures = [await failureOf(() => store.create(key, given))];

    // A Redis whose commands were renamed quotes them, and a client that is closed keeps them.
    const renamed = await startRedis({ args: ["--rename-command", "EVALSHA", ""] });
    const client = new Redis(renamed.port, { retryStrategy: () => null });
    client.on("error", () => {});
    failures.push(await failureOf(() => redisStore(client).create(key, given)));
    renamed.freeze();
    const pending = failureOf(() => redisStore(client).create(key, given));
    await renamed.stop();
    failures.push(await pending, await failureOf(() => redisStore(client).create(key, given)));

    expect(failures.map(({ message }) => message)).toEqual([
      expect.stringContaining("a key of a session holds what this store hasn't written"),
      expect.stringContaining("unknown command"),
      "Connection is closed.",
      "Connection is closed.",
    ]);
    for (const failure of failures) {
      const text = inspect(failure, { depth: 9, showHidden: true });
      for (const secret of secrets) expect(text).not.toContain(secret);
    }
  });
});

describe("the clock", () => {
  afterEach(() => void vi.useRealTimers());

  test.each([-2 * MINUTE, 2 * MINUTE])(
    "is the server's: an app's that is off by %i ms changes nothing",
    async (off) => {
      const key = newKey();
      await store.create(key, record({ idle: MINUTE }));
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + off });
      const theirs = newKey();
      await store.create(theirs, record({ idle: MINUTE }));
      for (const it of [key, theirs]) {
        await store.commit(it, change({ touch: true }));
        const loaded = await store.load(it);
        if (loaded.status !== "live") expect.unreachable();
        const age = loaded.now - loaded.record.seenAt;
        expect(age).toBeGreaterThanOrEqual(0);
        expect(age).toBeLessThan(10_000);
        expect(await redis.pttl(inRedis(it))).toBeGreaterThan(MINUTE - 10_000);
        expect(await redis.pttl(inRedis(it))).toBeLessThanOrEqual(MINUTE);
      }
    },
  );
});

describe("a connection that breaks", () => {
  test.each(["half a command", "no reply", "half a reply"] as const)(
    "with %s: what was sent is sent again, and applied once",
    async (fault) => {
      await using proxy = await startProxy(server.port);
      const client = new Redis(proxy.port, { retryStrategy: () => 10 });
      client.on("error", () => {});
      const broken = redisStore(client);
      const [key, next] = [newKey(), newKey()];
      const given = record({ owners: new Set(["ada"]) });

      const twice = async <T>(work: () => Promise<T>): Promise<T> => {
        const { scripts } = proxy;
        proxy.fault = fault;
        const answer = await work();
        expect(proxy.scripts - scripts).toBe(2);
        expect(proxy.fault).toBe(undefined);
        return answer;
      };
      // Redis knows them from now on.
      const first = newKey();
      await broken.create(first, record());
      await broken.load(first);

      expect(await twice(() => broken.create(key, given))).toBe(key);
      expect(await twice(() => broken.commit(key, increment(0)))).toEqual({ status: "saved", key });
      const pop = change({ delete: new Set(["count"]), expect: new Map([["count", "1"]]) });
      expect(await twice(() => broken.commit(key, pop))).toEqual({ status: "saved", key });
      const renewal = change({ renewTo: next, set: new Map([["user", "ada"]]) });
      expect(await twice(() => broken.commit(key, renewal))).toEqual({
        status: "saved",
        key: next,
      });
      expect(await twice(() => broken.load(next))).toMatchObject({ status: "live" });
      expect(await store.list("ada")).toHaveLength(1);
      expect(await store.load(key)).toEqual({ status: "renewed" });
      client.disconnect();
    },
  );

  test("between a create and its answer: a logout beside it is not undone by the repeat", async () => {
    const [key, given] = [newKey(), record({ owners: new Set(["ada"]) })];
    await store.create(key, given);
    await store.destroyAll("ada");
    expect(await store.create(key, given)).toBe(key);
    expect(await store.load(key)).toEqual({ status: "none" });
    expect(await store.list("ada")).toEqual([]);
  });
});

describe("what a session takes", () => {
  const operationsOf = async (key: string) =>
    ((await redis.hget(inRedis(key), "r")) as string).trimEnd().split("\n");

  test("of remembered operations is bounded: 4,000 bytes", async () => {
    const key = newKey();
    await store.create(key, record());
    const first = increment(0);
    await store.commit(key, first);
    for (let n = 0; n < 70; n++) await store.commit(key, change());
    await store.commit(key, first);
    expect(await textOf(key, "count")).toBe("1");
    for (let n = 0; n < 200; n++) await store.commit(key, change());
    const operations = await redis.hstrlen(inRedis(key), "r");
    expect(operations).toBeGreaterThan(3950);
    expect(operations).toBeLessThan(4100);
  });

  test("of remembered operations is 400 bytes after a minute", async () => {
    const key = newKey();
    await store.create(key, record());
    for (let n = 0; n < 50; n++) await store.commit(key, change());
    await advance([server], "lanai:", 2 * MINUTE);
    const aged = await operationsOf(key);
    await store.commit(key, change());
    const kept = await operationsOf(key);
    // Each is 51 bytes: a time, a UUID.
    expect(kept.slice(0, -1)).toEqual(aged.slice(-7));
  });

  test("of its owner's list goes when it ends", async () => {
    const keys = [newKey(), newKey("cd")];
    for (const key of keys) await store.create(key, record({ owners: new Set(["ada"]) }));
    expect(await redis.zcard("lanai:owner:ada")).toBe(2);
    await store.destroy(keys[0] as string);
    // Sent after the answer, on the connection that asks next.
    expect(await redis.zcard("lanai:owner:ada")).toBe(1);
    await store.destroyAll("ada");
    expect(await redis.exists("lanai:owner:ada")).toBe(0);
  });

  test("of its owner's list goes, at the latest, with the next session after it has expired", async () => {
    const given = { owners: new Set(["ada"]), idle: MINUTE };
    await store.create(newKey(), record(given));
    const [member] = await redis.zrange("lanai:owner:ada", "0", "-1");
    await redis.zincrby("lanai:owner:ada", -70 * MINUTE, member as string);
    await store.create(newKey(), record(given));
    expect(await redis.zrange("lanai:owner:ada", "0", "-1")).not.toContain(member);
  });
});

describe("old keys that lead to one another, which only a foreign hand can have written,", () => {
  const nameOf = (key: Key) => `{${key.slice(0, 2)}}${key.slice(2)}`;

  /** How many commands Redis has run for a call, within the scripts too. */
  const costOf = async (call: () => unknown): Promise<number> => {
    await redis.config("RESETSTAT");
    await call();
    const stats = await redis.info("commandstats");
    const calls = [...stats.matchAll(/^cmdstat_(?!config|info)[^:]+:calls=(\d+)/gm)];
    return calls.reduce((sum, [, count]) => sum + Number(count), 0);
  };

  test.each([
    ["itself", 1],
    ["the other of two", 2],
    ["the next of 500", 500],
  ])("lead nowhere in constant work, and block nothing: %s", async (_what, length) => {
    const keys = Array.from({ length }, () => newKey());
    const [first] = keys as [Key];
    for (const [n, key] of keys.entries()) {
      const next = keys[(n + 1) % length] as Key;
      await redis.hset(`lanai:${nameOf(key)}`, ">", nameOf(next));
    }
    const owner = "ada";
    // The list of an owner leads to such a key, too.
    await redis.hset("lanai:{ab}:public", ">", nameOf(first));
    await redis.zadd("lanai:owner:ada", Date.now() + MINUTE, "abpublic");
    // Scripts that Redis doesn't know are sent twice.
    await store.load(first);
    await store.commit(first, change());

    const calls: readonly (readonly [() => unknown, unknown])[] = [
      [() => store.load(first), { status: "none" }],
      [() => store.commit(first, change({ touch: true })), { status: "gone" }],
      [() => store.commit(first, change({ renewTo: newKey() })), { status: "gone" }],
      [() => store.list(owner), []],
      [() => store.destroyAll(owner), []],
      [() => store.destroy(first, "end"), undefined],
    ];
    for (const [call, result] of calls) {
      const cost = await costOf(async () => expect(await call()).toEqual(result));
      expect(cost).toBeLessThan(100);
      expect(await redis.ping()).toBe("PONG");
    }
    // A sign-in beside them.
    const key = newKey();
    await store.create(key, record({ owners: new Set([owner]) }));
    expect(await store.list(owner)).toHaveLength(1);
    expect(await store.load(key)).toMatchObject({ status: "live" });
  });
});

describe("a Redis that evicts", () => {
  afterEach(() => redis.config("SET", "maxmemory-policy", "noeviction"));

  const told = async (
    options: Pick<RedisOptions, "username" | "password" | "enableReadyCheck"> = {},
  ) => {
    using evicting = reported<RedisStoreEvent>("lanai:session:evicting");
    const client = new Redis(server.port, options);
    const it = redisStore(client);
    await it.create(newKey(), record());
    await it.load(newKey());
    // Answered after what the store has asked.
    await client.echo("");
    client.disconnect();
    return evicting.events;
  };

  test.each(["allkeys-lru", "volatile-ttl"])("by %s is reported, once", async (policy) => {
    expect(await told()).toEqual([]);
    await redis.config("SET", "maxmemory-policy", policy);
    expect(await told()).toEqual([
      {
        level: "warn",
        reason: policy,
        message: expect.stringContaining("set its maxmemory-policy to noeviction"),
      },
    ]);
  });

  test("and doesn't let its user see it costs nothing but the report", async () => {
    await redis.config("SET", "maxmemory-policy", "allkeys-random");
    await redis.call("ACL", "SETUSER", "blind", "on", ">secret", "~*", "+@all", "-info");
    const user = { username: "blind", password: "secret", enableReadyCheck: false };
    expect(await told(user)).toEqual([]);
    await redis.call("ACL", "DELUSER", "blind");
  });
});

describe("a Redis that can't save to its disk", () => {
  test("refuses what would be written, a sign-out too, and goes on reading", async () => {
    await using disk = await startRedis();
    const client = new Redis(disk.port);
    onTestFinished(() => client.disconnect());
    const it = redisStore(client);
    const key = newKey();
    await it.create(key, record({ owners: new Set(["ada"]) }));
    // A folder in the place of the file.
    const [, folder] = (await client.config("GET", "dir")) as string[];
    mkdirSync(join(folder as string, "dump.rdb"));
    await client.config("SET", "save", "3600 1");
    await client.bgsave();
    await until(async () =>
      expect(await client.info("persistence")).toContain("rdb_last_bgsave_status:err"),
    );
    const calls = [
      () => it.create(newKey(), record()),
      () => it.commit(key, increment(0)),
      () => it.destroy(key),
      () => it.destroyAll("ada", { operation: "4" }),
    ];
    for (const call of calls) expect((await failureOf(call)).message).toMatch(/MISCONF/);
    expect(await it.load(key)).toMatchObject({ status: "live" });
    expect(await it.list("ada")).toHaveLength(1);
  });
});

describe("a Redis whose memory is full", () => {
  afterEach(() => redis.config("SET", "maxmemory", "0"));

  test("refuses what would grow, by halves nothing, and still ends sessions", async () => {
    const key = newKey();
    const values = new Map([["a", "1"]]);
    await store.create(key, record({ values, owners: new Set(["ada"]) }));
    const before = await store.load(key);
    await redis.config("SET", "maxmemory", "1");
    const late = newKey();
    const login = change({
      renewTo: newKey(),
      set: new Map([["a", "2"]]),
      delete: new Set(["a"]),
      addOwners: new Set(["bob"]),
    });
    const calls = [
      () => store.create(late, record({ owners: new Set(["bob"]) })),
      () => store.commit(key, login),
      () => store.commit(key, change({ renewTo: newKey() })),
    ];
    for (const call of calls) expect((await failureOf(call)).message).toMatch(/OOM/);
    expect(await store.load(key)).toMatchObject({ record: (before as { record: object }).record });
    expect(await store.load(late)).toEqual({ status: "none" });
    expect(await store.list("bob")).toEqual([]);
    expect(await store.destroyAll("ada", { operation: "3" })).toHaveLength(1);
    expect(await store.load(key)).toEqual({ status: "none" });
  });
});
