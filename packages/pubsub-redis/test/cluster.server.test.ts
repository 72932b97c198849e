import { pubsubConformance } from "@lanai/pubsub/testing";
import { redisPubSub } from "@lanai/pubsub-redis";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { oneOrAll } from "../../../scripts/testing/chance.ts";
import { until } from "../../../scripts/testing/until.ts";
import { slotOf } from "../src/redis/slot.ts";
import { listen, numbers, PATIENT } from "./fixture.ts";
import { clusterClients, DURABLE, newPrefix, wireOf } from "./servers.ts";

let cluster: RedisCluster;
let admins: Redis[];

beforeAll(async () => {
  cluster = await startRedisCluster({ args: DURABLE });
  admins = cluster.nodes.map(({ port }) => new Redis(port, { retryStrategy: () => 20 }));
  for (const admin of admins) admin.on("error", () => {});
});
afterAll(async () => {
  for (const admin of admins ?? []) admin.disconnect();
  await cluster?.stop();
});

for (const sharded of [false, true]) {
  for (const [n, [name, connect]] of oneOrAll(Object.entries(clusterClients)).entries()) {
    // Once, for it takes long; below are more.
    const restarts = !sharded && n === 0;
    pubsubConformance({
      name: sharded ? `${name}, sharded` : name,
      test: (it, fn) => test(it, fn),
      ...(!restarts && { features: { restart: false } }),
      open() {
        const prefix = newPrefix();
        const { port } = cluster.nodes[0];
        const [one, other] = [connect(port), connect(port)];
        return {
          backend: redisPubSub(one, { ...PATIENT, prefix, sharded }),
          again: redisPubSub(other, { ...PATIENT, prefix, sharded }),
          ...(restarts && { restart: () => restartListened(prefix) }),
          wire: () => wireOf(cluster.nodes, prefix),
          async close() {
            one.disconnect();
            other.disconnect();
            if (restarts) await inOrder();
          },
        };
      },
    });
  }
}

/** Kills the node that a plain subject is heard from, if one is, and starts it again. */
const restartListened = async (prefix: string): Promise<void> => {
  let listened = 0;
  for (const [n, admin] of admins.entries()) {
    const channels = (await admin.pubsub("CHANNELS", `${prefix}*.plain`)) as string[];
    if (channels.length > 0) listened = n;
  }
  await cluster.nodes[listened]?.restart();
};

/** The index of the node that has a slot. */
const ownerOf = async (slot: number): Promise<number> => {
  for (const [n, admin] of admins.entries()) {
    const shards = (await admin.call("CLUSTER", "NODES")) as string;
    const own = shards.split("\n").find((line) => line.includes("myself")) ?? "";
    for (const range of own.split(" ").slice(8)) {
      const [first = "", last = first] = range.split("-");
      if (slot >= Number(first) && slot <= Number(last)) return n;
    }
  }
  throw new Error(`nobody has slot ${slot}`);
};

/** A cluster takes its time after a restart. */
const inOrder = () =>
  until(async () => {
    for (const admin of admins) {
      expect(await admin.call("CLUSTER", "INFO")).toContain("cluster_state:ok");
    }
  });

describe.each([
  ["classic", false],
  ["sharded", true],
] as const)("%s channels", (_name, sharded) => {
  let client: Cluster;
  let prefix: string;

  beforeEach(async () => {
    prefix = newPrefix();
    client = new Cluster([{ port: cluster.nodes[0].port }], { slotsRefreshInterval: 200 });
    client.on("error", () => {});
    await inOrder();
    return async () => {
      client.disconnect();
      await inOrder();
    };
  });

  test("P5: a node that is killed and restarted loses nothing that is retained", async () => {
    const backend = redisPubSub(client, { ...PATIENT, prefix, sharded });
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"], maxMsgs: 10_000 });
    const listeners = await Promise.all([
      listen(backend, "kept.a"),
      listen(backend, "kept.*", { replay: Infinity }),
    ]);
    const node = cluster.nodes[await ownerOf(slotOf("{kept}"))];
    const publishAll = async (first: number, last: number) => {
      for (const text of numbers(first, last)) {
        // Refused while the cluster is down; the name keeps what was stored nevertheless from
        // being stored again.
        await until(() => backend.publish("kept.a", text, { messageId: text }));
      }
    };
    await publishAll(1, 300);
    const publishing = publishAll(301, 1_000);
    await node?.restart();
    await publishing;
    for (const { texts, gaps, errors } of listeners) {
      await until(() => expect(texts.length).toBe(1_000));
      expect(texts).toEqual(numbers(1, 1_000));
      expect([gaps, errors]).toEqual([[], []]);
    }
    await backend.close();
  });
});

describe("sharded channels", () => {
  let client: Cluster;
  let prefix: string;

  beforeEach(() => {
    prefix = newPrefix();
    client = new Cluster([{ port: cluster.nodes[0].port }], { slotsRefreshInterval: 200 });
    return () => client.disconnect();
  });

  test("slots are those of Redis", async () => {
    const names = ["a", "{a}b", "a{b}c{d}", "{}a", "a{}{b}", "{a", "a}b{", "é{😀}", "", "{{a}}"];
    for (const name of names) {
      expect([name, slotOf(name)]).toEqual([
        name,
        await admins[0]?.call("CLUSTER", "KEYSLOT", name),
      ]);
    }
  });

  test("a first token can be whatever a subject's can, but a wildcard", async () => {
    const backend = redisPubSub(client, { prefix, sharded: true });
    for (const first of ["{a}", "}", "}a", "}b", "}c", "}}", "{", "{}", "%7b", "é", "a?[b]"]) {
      const { texts } = await listen(backend, `${first}.*`);
      await backend.publish(`${first}.x`, first);
      await until(() => expect(texts).toEqual([first]));
    }
    for (const subject of [">", "*", "*.a"]) {
      await expect(backend.subscribe(subject, () => {})).rejects.toMatchObject({
        code: "ERR_PUBSUB_SUBJECT",
        index: 0,
      });
    }
    await backend.close();
  });

  test("SPUBLISH of redis-cli reaches us with the subject in the first line", async () => {
    const backend = redisPubSub(client, { prefix, sharded: true });
    const { texts } = await listen(backend, "chat.*");
    const channel = `${prefix}{chat}`;
    const node = admins[await ownerOf(slotOf(channel))];
    await node?.call("SPUBLISH", channel, "chat.a\nhello");
    await node?.call("SPUBLISH", channel, "without a subject");
    await node?.call("SPUBLISH", channel, "chat.b\nend");
    await until(() => expect(texts).toEqual(["hello", "end"]));
    await backend.close();
  });

  test("P5: subscriptions follow a slot that moves to another node", async () => {
    const backend = redisPubSub(client, { prefix, sharded: true });
    const { texts, gaps, subscription } = await listen(backend, "chat.*");
    await backend.publish("chat.a", "1");
    await until(() => expect(texts).toEqual(["1"]));
    const slot = slotOf(`${prefix}{chat}`);
    const from = await ownerOf(slot);
    const to = (from + 1) % admins.length;
    const source = admins[from] as Redis;
    const target = admins[to] as Redis;
    const [sourceId, targetId] = (await Promise.all(
      [source, target].map((admin) => admin.call("CLUSTER", "MYID")),
    )) as [string, string];
    await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId);
    await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", targetId);
    const keys = (await source.call("CLUSTER", "GETKEYSINSLOT", slot, 100)) as string[];
    for (const key of keys) await source.del(key);
    for (const admin of [target, source, ...admins]) {
      await admin.call("CLUSTER", "SETSLOT", slot, "NODE", targetId);
    }
    await until(() => expect(gaps).toEqual([{ subject: "chat.*", reason: "reconnect" }]));
    await until(() => expect(subscription.status).toBe("live"));
    await backend.publish("chat.a", "2");
    await until(() => expect(texts).toEqual(["1", "2"]));
    await backend.close();
  });
});
