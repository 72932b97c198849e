import {
  type RedisClient,
  type RedisStore,
  type RedisStoreEvent,
  redisStore,
} from "@lanai/session-redis";
import { Cluster } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { advance } from "./advance.ts";
import { change, increment, MINUTE, newKey, record } from "./records.ts";

let servers: RedisCluster;
let cluster: Cluster;
let store: RedisStore;

beforeAll(async () => {
  servers = await startRedisCluster();
  cluster = new Cluster(servers.nodes.map(({ host, port }) => ({ host, port })));
  store = redisStore(cluster);
  // From here on the nodes know the scripts.
  for (const tag of ["aa", "ab", "ac", "ad", "ae", "af"]) {
    await store.create(newKey(tag), record({ owners: new Set([tag, `${tag} too`]) }));
    await store.destroyAll(tag);
  }
});
beforeEach(async () => {
  await Promise.all(cluster.nodes("master").map((node) => node.flushdb()));
});
afterAll(async () => {
  cluster?.disconnect();
  await servers?.stop();
});

test("every master is asked whether it evicts", async () => {
  const policies = ["allkeys-lru", "volatile-lru", "volatile-ttl"];
  const masters = cluster.nodes("master");
  using evicting = reported<RedisStoreEvent>("lanai:session:evicting");
  try {
    for (const [n, node] of masters.entries()) {
      await node.config("SET", "maxmemory-policy", policies[n] as string);
    }
    await redisStore(cluster).load(newKey());
    await until(() => {
      expect(evicting.events.map(({ reason }) => reason).sort()).toEqual(policies);
    });
  } finally {
    for (const node of masters) await node.config("SET", "maxmemory-policy", "noeviction");
  }
});

/** A client that tells what is sent through it, and can be held before any of it. */
interface Steered extends RedisClient {
  sent: number;
  /** Comes before each command. */
  before: (n: number) => Promise<void> | void;
}

function steered(): Steered {
  const client: Steered = {
    isCluster: true,
    sent: 0,
    before: () => {},
    async call(command, ...args) {
      if (command === "INFO") return "";
      client.sent += 1;
      await client.before(client.sent);
      return cluster.call(command, ...args);
    },
  };
  return client;
}

/** Does something, before the nth command of something else goes out. */
async function before<T>(
  n: number,
  work: (store: RedisStore) => Promise<T>,
  first: () => Promise<unknown>,
): Promise<T> {
  const client = steered();
  client.before = async (sent) => {
    if (sent === n) await first();
  };
  const answer = await work(redisStore(client));
  expect(client.sent).toBeGreaterThanOrEqual(n);
  return answer;
}

/** Waits until the clock of the servers has moved. */
async function nextMillisecond(): Promise<void> {
  const now = async () => {
    const [seconds, micros] = (await cluster.call("TIME")) as string[];
    return `${seconds} ${Math.trunc(Number(micros) / 1000)}`;
  };
  const before = await now();
  while ((await now()) === before);
}

const publicIds = (sessions: readonly { publicId: string }[]) =>
  sessions.map(({ publicId }) => publicId).sort();

const login = (key: string) =>
  change({
    renewTo: newKey(key.slice(0, 2)),
    addOwners: new Set(["ada"]),
    set: new Map([["user", "ada"]]),
    restart: true,
  });

describe("a login takes three steps: tried, listed, done", () => {
  // An "end all" comes before each of them.
  test.each([1, 2, 3])(
    "S16: a sign-out everywhere before step %i is before the login",
    async (n) => {
      const [present, coming] = [record({ owners: new Set(["ada"]) }), record()];
      const key = newKey("cd");
      await store.create(newKey(), present);
      await store.create(key, coming);
      const move = login(key);
      const answer = await before(
        n,
        (held) => held.commit(key, move),
        async () => expect(publicIds(await store.destroyAll("ada"))).toEqual([present.publicId]),
      );
      expect(answer).toEqual({ status: "saved", key: move.renewTo });
      expect(publicIds(await store.list("ada"))).toEqual([coming.publicId]);
      expect(publicIds(await store.destroyAll("ada"))).toEqual([coming.publicId]);
      expect(await store.load(move.renewTo as string)).toEqual({ status: "none" });
    },
  );

  test.each([1, 2, 3])(
    "S16: a logout before step %i leaves no session, and none listed",
    async (n) => {
      const key = newKey("cd");
      await store.create(key, record());
      const move = login(key);
      const answer = await before(
        n,
        (held) => held.commit(key, move),
        () => store.destroy(key),
      );
      expect(answer).toEqual({ status: "gone" });
      expect(await store.list("ada")).toEqual([]);
      expect(await store.load(move.renewTo as string)).toEqual({ status: "none" });
    },
  );

  test("S16: a login that ends after the second step has listed nothing that can be seen", async () => {
    const key = newKey("cd");
    await store.create(key, record());
    const crash = before(
      3,
      (held) => held.commit(key, login(key)),
      () => {
        throw new Error("crash");
      },
    );
    await expect(crash).rejects.toThrow("crash");
    expect(await store.list("ada")).toEqual([]);
    expect(await store.destroyAll("ada")).toEqual([]);
    expect(await store.load(key)).toMatchObject({ status: "live" });
  });

  test("S16: a login after a sign-out everywhere has read the list is after it", async () => {
    const [present, coming] = [record({ owners: new Set(["ada"]) }), record()];
    const key = newKey("cd");
    await store.create(newKey(), present);
    await store.create(key, coming);
    const ended = await before(
      2,
      (held) => held.destroyAll("ada"),
      () => store.commit(key, login(key)),
    );
    expect(publicIds(ended)).toEqual([present.publicId]);
    expect(publicIds(await store.list("ada"))).toEqual([coming.publicId]);
  });

  test("are no more where the absolute time is the nearer end, however long each takes", async () => {
    const client = steered();
    client.before = nextMillisecond;
    const slow = redisStore(client);
    const [key, times] = [newKey("cd"), { idle: 60 * MINUTE, absolute: MINUTE }];
    await slow.create(newKey("cd"), record({ ...times, owners: new Set(["ada"]) }));
    expect(client.sent).toBe(3);
    await store.create(key, record(times));
    client.sent = 0;
    const move = login(key);
    expect(await slow.commit(key, move)).toEqual({ status: "saved", key: move.renewTo });
    expect(client.sent).toBe(3);
    expect(await store.list("ada")).toHaveLength(2);
  });

  test("S16: another owner given before the third step is listed, too", async () => {
    const key = newKey("cd");
    const { publicId } = record();
    await store.create(key, record({ publicId }));
    const move = login(key);
    await before(
      3,
      (held) => held.commit(key, move),
      () => store.commit(key, change({ addOwners: new Set(["client:1"]) })),
    );
    for (const owner of ["ada", "client:1"]) {
      expect(publicIds(await store.list(owner))).toEqual([publicId]);
    }
  });
});

describe("round trips", () => {
  const cost = async (work: (store: RedisStore) => Promise<unknown>) => {
    const client = steered();
    await work(redisStore(client));
    return client.sent;
  };

  test("are one for all that gives no owner", async () => {
    const [key, next] = [newKey("cd"), newKey("cd")];
    expect(await cost((it) => it.create(key, record()))).toBe(1);
    expect(await cost((it) => it.load(key))).toBe(1);
    expect(await cost((it) => it.commit(key, increment(0)))).toBe(1);
    await store.commit(key, change({ addOwners: new Set(["ada"]) }));
    expect(await cost((it) => it.commit(key, increment(1)))).toBe(1);
    expect(await cost((it) => it.commit(key, change({ touch: true })))).toBe(1);
    expect(await cost((it) => it.commit(key, change({ renewTo: next })))).toBe(1);
    expect(await cost((it) => it.destroy(newKey("ef")))).toBe(1);
  });

  test("are three where an owner is given", async () => {
    const key = newKey("cd");
    expect(await cost((it) => it.create(newKey("ef"), record({ owners: new Set(["ada"]) })))).toBe(
      3,
    );
    await store.create(key, record());
    expect(await cost((it) => it.commit(key, login(key)))).toBe(3);
  });

  test("are three for a touch that passes what the list knows: once in the idle time", async () => {
    const key = newKey("cd");
    await store.create(key, record({ owners: new Set(["ada"]), idle: 10 * MINUTE }));
    const touch = (it: RedisStore) => it.commit(key, change({ touch: true }));
    const costs: number[] = [];
    for (let n = 0; n < 12; n++) {
      await advance(servers.nodes, "lanai:", 4 * MINUTE);
      costs.push(await cost(touch));
    }
    expect(costs).toEqual([1, 1, 3, 1, 1, 3, 1, 1, 3, 1, 1, 3]);
    expect(await store.list("ada")).toHaveLength(1);
  });
});

test("one owner's sessions are found in all slots", async () => {
  const tags = ["aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh"];
  const keys = tags.map((tag) => newKey(tag));
  for (const key of keys) await store.create(key, record({ owners: new Set(["ada"]) }));
  expect(await store.list("ada")).toHaveLength(8);
  expect(await store.destroyAll("ada")).toHaveLength(8);
  for (const key of keys) expect(await store.load(key)).toEqual({ status: "none" });
});
