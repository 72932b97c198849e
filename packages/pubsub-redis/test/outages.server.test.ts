import diagnostics from "node:diagnostics_channel";
import type { PubSubError } from "@lanai/pubsub";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { startProxy } from "../../session-redis/test/proxy.ts";
import { listen, numbers, openBackend } from "./fixture.ts";
import { DURABLE } from "./servers.ts";

let server: RedisServer;
let admin: Redis;

beforeEach(async () => {
  server = await startRedis();
  admin = new Redis(server.port, { retryStrategy: () => 20 });
  admin.on("error", () => {});
});
afterEach(async () => {
  admin.disconnect();
  await server.stop();
});

const unavailable = { code: "ERR_PUBSUB_UNAVAILABLE", status: 503, expose: false };

/** Far above the timeouts below, and below what a client waits for by itself. */
const WITHIN = 30_000;

/** How long something takes, and what it rejects with. */
async function failure(work: Promise<unknown>): Promise<{ ms: number; error: PubSubError }> {
  const start = performance.now();
  const error = await work.then(
    () => undefined,
    (it) => it,
  );
  return { ms: performance.now() - start, error };
}

test("P5: 30 subscriber connections are killed while 10,000 are published, and all come once", async () => {
  await using opened = openBackend(server.port);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept.>"], maxMsgs: 100_000 });
  const listeners = await Promise.all([
    listen(backend, "kept.a"),
    listen(backend, "kept.*"),
    listen(backend, ">"),
    listen(backend, "kept.a", { replay: Infinity }),
  ]);
  const plain = await listen(backend, "plain");
  let killed = 0;
  const killing = (async () => {
    for (; killed < 30; killed++) {
      await until(async () => expect(await admin.call("CLIENT", "KILL", "TYPE", "pubsub")).toBe(1));
      await until(() => {
        for (const { subscription } of listeners) expect(subscription.status).toBe("live");
      });
    }
  })();
  let last = 0;
  for (; killed < 30 || last < 10_000; last += 10) {
    await Promise.all(numbers(last + 1, last + 10).map((it) => backend.publish("kept.a", it)));
  }
  await killing;
  for (const { texts, gaps, errors } of listeners) {
    await until(() => expect(texts.length).toBeGreaterThanOrEqual(last));
    expect(texts).toEqual(numbers(1, last));
    expect(errors).toEqual([]);
    for (const gap of gaps) expect(gap).toEqual({ subject: ">", reason: "reconnect" });
  }
  expect(listeners[2]?.gaps.length).toBeGreaterThan(0);
  expect(plain.gaps).toContainEqual({ subject: "plain", reason: "reconnect" });
});

describe("a Redis that was killed", () => {
  test("rejects what is published, subscribed and asked within the time-out, and is used again", async () => {
    await using opened = openBackend(server.port, { timeout: 1_000 });
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const { texts, subscription } = await listen(backend, "plain");
    await server.kill();
    await until(() => expect(subscription.status).toBe("syncing"));
    const calls = [
      backend.publish("plain", "1"),
      backend.publish("kept", "1"),
      backend.subscribe("x", () => {}),
      backend.history("kept", 1),
      backend.ensureStream({ name: "other", subjects: ["other"] }),
    ];
    for (const { ms, error } of await Promise.all(calls.map(failure))) {
      expect(error).toMatchObject(unavailable);
      expect(ms).toBeLessThan(WITHIN);
    }
    await server.restart();
    await until(() => expect(subscription.status).toBe("live"));
    await until(() => backend.publish("plain", "2"));
    // The first may have been on its way.
    await until(() => expect(texts.at(-1)).toBe("2"));
  });

  test("and lost its data begins a new epoch: the gap is told, and the stream goes on", async () => {
    await using opened = openBackend(server.port);
    await using other = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    for (const text of numbers(1, 5)) await backend.publish("kept.a", text);
    const [old] = await backend.history("kept.a", 1);
    const listeners = await Promise.all(
      ["kept.a", "kept.*", "kept.>"].map((subject) => listen(backend, subject)),
    );
    await server.restart();
    // It may be back already.
    for (const { subscription, gaps } of listeners) {
      await until(() => expect(subscription.status === "syncing" || gaps.length > 0).toBe(true));
    }
    // Somebody is quicker; the epoch of its stream is the one that stays.
    await admin.hset("lanai:stream:{kept}:meta", { epoch: "epoch-of-now", last: 0, count: 0 });
    for (const { subscription } of listeners) {
      await until(() => expect(subscription.status).toBe("live"));
    }
    await until(async () => expect(await admin.hlen("lanai:{streams}")).toBe(2));
    // Also one that never called ensureStream, and knows nothing of what was.
    await other.backend.publish("kept.a", "6");
    await backend.publish("kept.a", "7");
    for (const { texts, gaps, subscription } of listeners) {
      await until(() => expect(texts).toEqual(["6", "7"]));
      const gap = { subject: subscription.subject, reason: "expired" };
      // Two where we came back before somebody did, with an epoch of our own.
      expect(gaps).toEqual(gaps.length === 2 ? [gap, gap] : [gap]);
    }
    const history = await backend.history("kept.a", 10);
    expect(history.map(({ data }) => String(data))).toEqual(["6", "7"]);
    for (const { id } of history) expect(id).toMatch(/^epoch-of-now:/);
    const resumed = await listen(backend, "kept.a", { since: old?.id, replay: 1 });
    expect(resumed.subscription.recovered).toBe(false);
    await until(() => expect(resumed.texts).toEqual(["7"]));
  });

  test("and lost only the newest of its data says so, and delivers what comes after", async () => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const { texts, gaps, messages } = await listen(backend, "kept");
    for (const text of numbers(1, 5)) await backend.publish("kept", text);
    await until(() => expect(texts).toEqual(numbers(1, 5)));
    // As after a crash with `appendfsync everysec`: 4 and 5 never were.
    const key = "lanai:stream:{kept}";
    const [, , third, ...lost] = (await admin.xrange(key, "-", "+")).map(([id]) => id);
    await admin.xdel(key, ...lost);
    await admin.hset(`${key}:meta`, "count", 3, "last", String(third).split("-")[0] ?? "");
    await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
    await until(() => expect(gaps).toEqual([{ subject: "kept", reason: "expired" }]));
    for (const text of numbers(6, 9)) await backend.publish("kept", text);
    await until(() => expect(texts).toEqual(numbers(1, 9)));
    expect(gaps.length).toBe(1);
    const since = messages[4]?.id;
    const { subscription } = await listen(backend, "kept", { since });
    expect(subscription.recovered).toBe(false);
  });
});

describe("a Redis that hangs", () => {
  test("is an error within the time-out, and goes on when it does", async () => {
    await using opened = openBackend(server.port, { timeout: 1_000, maxWaiting: 100 });
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const { texts } = await listen(backend, "plain");
    server.freeze();
    const publish = (text: string) => failure(backend.publish("plain", text));
    const first = publish("1");
    await new Promise(setImmediate);
    const published = [first, ...numbers(2, 1_000).map(publish)];
    const kept = failure(backend.publish("kept", "1"));
    for (const { ms, error } of await Promise.all([...published, kept])) {
      expect(error).toMatchObject(unavailable);
      expect(ms).toBeLessThan(WITHIN);
    }
    server.thaw();
    await until(() => backend.publish("plain", "end"));
    await until(() => expect(texts.at(-1)).toBe("end"));
    // Only what was under way may have been done; what waited is never sent.
    expect(["1", "end"].slice(-texts.length)).toEqual(texts);
  });

  test("is noticed by the connection for subscribing, which is made anew", async () => {
    await using opened = openBackend(server.port, { timeout: 1_000, pingInterval: 100 });
    const { backend } = opened;
    const { subscription, gaps, texts } = await listen(backend, "plain");
    server.freeze();
    await until(() => expect(subscription.status).toBe("syncing"));
    server.thaw();
    await until(() => expect(gaps).toEqual([{ subject: "plain", reason: "reconnect" }]));
    await until(() => backend.publish("plain", "1"));
    await until(() => expect(texts.at(-1)).toBe("1"));
  });

  test("doesn't keep close from ending", async () => {
    const { backend, client } = openBackend(server.port, { timeout: 1_000 });
    const { subscription } = await listen(backend, "plain");
    server.freeze();
    const published = failure(backend.publish("plain", "1"));
    const start = performance.now();
    await backend.close();
    expect(performance.now() - start).toBeLessThan(WITHIN);
    expect(subscription.status).toBe("closed");
    expect((await published).error.code).toMatch(/^ERR_PUBSUB_(CLOSED|UNAVAILABLE)$/);
    client.disconnect();
  });
});

test("a close while Redis is away ends too, and makes no connection after it", async () => {
  const { backend, client } = openBackend(server.port, { timeout: 1_000 });
  const { subscription } = await listen(backend, "plain");
  await server.kill();
  await until(() => expect(subscription.status).toBe("syncing"));
  await backend.close();
  client.disconnect();
  await server.restart();
  // Of ours alone; twice the longest time between two attempts would be too long to wait.
  expect(await admin.call("CLIENT", "LIST", "TYPE", "pubsub")).toBe("");
});

test.each(["plain", "kept"])(
  "P4: a reply that is lost costs nothing on a %s subject: sent again, done once",
  async (subject) => {
    await using proxy = await startProxy(server.port);
    await using watching = openBackend(server.port);
    await using opened = openBackend(proxy.port);
    await watching.backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const { texts } = await listen(watching.backend, subject);
    await opened.backend.publish(subject, "1");
    for (const [n, fault] of (["no reply", "half a reply", "half a command"] as const).entries()) {
      proxy.fault = fault;
      await opened.backend.publish(subject, `${n + 2}`);
      expect(proxy.fault).toBe(undefined);
    }
    await opened.backend.publish(subject, "5");
    await until(() => expect(texts.at(-1)).toBe("5"));
    expect(texts).toEqual(numbers(1, 5));
  },
);

test("what is published over a restart with kept data is in order, and there once", async () => {
  await using durable = await startRedis({ args: DURABLE });
  await using opened = openBackend(durable.port);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"], maxMsgs: 20_000 });
  const { texts } = await listen(backend, "kept");
  const published = numbers(1, 10_000).map((text) => backend.publish("kept", text));
  await published[3_333];
  await durable.restart();
  await published[5_000];
  await durable.restart();
  await Promise.all(published);
  await until(() => expect(texts.length).toBe(10_000));
  expect(texts).toEqual(numbers(1, 10_000));
});

/** Stores a message of somebody else, which is lost on its way to us, as on the bus of a cluster. */
const swallow = async (text: string) => {
  const meta = "lanai:stream:{kept}:meta";
  const [last, count] = await admin.hmget(meta, "last", "count");
  const id = `${last}-${Number(count) + 1}`;
  await admin.xadd("lanai:stream:{kept}", id, "s", "kept", "d", text);
  await admin.hincrby(meta, "count", 1);
};

test("P5: the first message after a reconnect shows that the one before it was swallowed", async () => {
  await using opened = openBackend(server.port);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  const { texts, gaps, subscription } = await listen(backend, "kept");
  const plain = await listen(backend, "plain");
  await backend.publish("kept", "1");
  await until(() => expect(texts).toEqual(["1"]));
  await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
  await until(() => expect(plain.gaps.length).toBe(1));
  await until(() => expect(subscription.status).toBe("live"));
  await swallow("2");
  await backend.publish("kept", "3");
  await until(() => expect(texts).toEqual(numbers(1, 3)));
  expect(gaps).toEqual([]);
});

test("P5: a message that the connection swallowed is noticed by its count, or by the next check", async () => {
  await using opened = openBackend(server.port, { pingInterval: 100 });
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  const { texts, gaps } = await listen(backend, "kept");
  await backend.publish("kept", "1");
  await until(() => expect(texts).toEqual(["1"]));
  await swallow("2");
  await backend.publish("kept", "3");
  await until(() => expect(texts).toEqual(numbers(1, 3)));
  await swallow("4");
  await until(() => expect(texts).toEqual(numbers(1, 4)));
  expect(gaps).toEqual([]);
});

test("events tell of the connection, and hold no payload", async () => {
  const events: unknown[] = [];
  const names = ["disconnected", "reconnected", "gap"].map((name) => `lanai:pubsub:${name}`);
  const note = (event: unknown, name: string | symbol) => events.push([name, event]);
  for (const name of names) diagnostics.subscribe(name, note);
  await using opened = openBackend(server.port);
  const { subscription } = await listen(opened.backend, "plain");
  await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
  await until(() => expect(events.length).toBe(3));
  expect(subscription.status).toBe("live");
  expect(events).toEqual([
    ["lanai:pubsub:disconnected", { level: "warn" }],
    ["lanai:pubsub:reconnected", { level: "info" }],
    ["lanai:pubsub:gap", { level: "warn", subject: "plain", reason: "reconnect" }],
  ]);
  for (const name of names) diagnostics.unsubscribe(name, note);
});
