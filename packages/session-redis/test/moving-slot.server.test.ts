import type { Change, Key } from "@lanai/session/store";
import { type RedisStore, redisStore } from "@lanai/session-redis";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { until } from "../../../scripts/testing/until.ts";
import { change, increment, newKey, record } from "./records.ts";

const TAG = "cd";

interface Node {
  readonly redis: Redis;
  readonly id: string;
}

let servers: RedisCluster;
let nodes: Node[];
let slot: string;
/** Where the slot is, and where it goes next. */
let from: Node;
let to: Node;
let cluster: Cluster;
let store: RedisStore;

beforeAll(async () => {
  servers = await startRedisCluster();
  cluster = new Cluster([{ port: servers.nodes[0].port }], {
    // For as long as a busy machine takes to move the rest.
    retryDelayOnTryAgain: 10,
    maxRedirections: 10_000,
  });
  store = redisStore(cluster);
  nodes = await Promise.all(
    servers.nodes.map(async ({ port }) => {
      const redis = new Redis(port);
      return { redis, id: String(await redis.call("CLUSTER", "MYID")) };
    }),
  );
  slot = `${await cluster.call("CLUSTER", "KEYSLOT", `{${TAG}}`)}`;
  const owner = nodes[Math.floor((Number(slot) * 3) / 16_384)] as Node;
  [from, to] = [owner, nodes.find((node) => node !== owner) as Node];
});
afterAll(async () => {
  for (const { redis } of nodes ?? []) redis.disconnect();
  cluster?.disconnect();
  await servers?.stop();
});

/** Moves the slot and what is in it, as `redis-cli --cluster reshard` does. */
const move = {
  async begin() {
    await to.redis.call("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
    await from.redis.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
  },
  /** Some of the keys that are still there; fails if the other node has one. */
  async keys(isChosen: (key: string, n: number) => boolean) {
    const { port, host } = to.redis.options;
    const keys = (await from.redis.call("CLUSTER", "GETKEYSINSLOT", slot, "100")) as string[];
    for (const key of keys.sort().filter(isChosen)) {
      await from.redis.call("MIGRATE", `${host}`, `${port}`, key, "0", "5000");
    }
  },
  async end() {
    await move.keys(() => true);
    for (const { redis } of [to, from]) {
      await redis.call("CLUSTER", "SETSLOT", slot, "NODE", to.id);
    }
    [from, to] = [to, from];
  },
};

const retries = async () => {
  const stats = await Promise.all(nodes.map(({ redis }) => redis.info("errorstats")));
  return stats.reduce((sum, text) => sum + Number(/TRYAGAIN:count=(\d+)/.exec(text)?.[1] ?? 0), 0);
};

/** Does something while the slot has moved in part; the rest moves when that is waited for. */
async function whileMoving<T>(
  isMoved: (key: string, n: number) => boolean,
  work: () => Promise<T>,
): Promise<T> {
  const before = await retries();
  await move.begin();
  await move.keys(isMoved);
  let isDone = false;
  const answer = work().finally(() => {
    isDone = true;
  });
  try {
    await until(async () => expect(isDone || (await retries()) > before).toBe(true));
  } finally {
    await move.end();
  }
  return answer;
}

/** A session of a user that was renewed a moment ago: three keys of one slot. */
async function renewed() {
  const [old, key] = [newKey(TAG), newKey(TAG)];
  const owner = `user:${old}`;
  const given = record({ owners: new Set([owner]) });
  await store.create(old, given);
  await store.commit(old, change({ renewTo: key }));
  return { old, key, owner, publicId: given.publicId };
}

type Renewed = Awaited<ReturnType<typeof renewed>>;

const countOf = async (key: Key) => {
  const loaded = await store.load(key);
  return loaded.status === "live" ? loaded.record.values.get("count") : undefined;
};

const listOf = async (owner: string) => (await store.list(owner)).map(({ publicId }) => publicId);

/** What is done, and what must have become of it. */
const works: Record<string, (it: Renewed) => [() => Promise<unknown>, () => Promise<void>]> = {
  "a load": ({ key, publicId }) => [
    async () => expect(await store.load(key)).toMatchObject({ record: { publicId } }),
    async () => {},
  ],
  "a load of the old key": ({ old }) => [
    async () => expect(await store.load(old)).toEqual({ status: "renewed" }),
    async () => {},
  ],
  "a list": ({ owner, publicId }) => [
    async () => expect(await listOf(owner)).toEqual([publicId]),
    async () => {},
  ],
  "an update": ({ key }) => updated(key, key),
  "an update by the old key": ({ old, key }) => updated(old, key),
  "one more owner": ({ key, publicId }) => [
    () => store.commit(key, change({ addOwners: new Set([`client:${key}`]) })),
    async () => expect(await listOf(`client:${key}`)).toEqual([publicId]),
  ],
  "a renewal": ({ key, owner, publicId }) => {
    const next = newKey(TAG);
    return [
      () => store.commit(key, change({ renewTo: next })),
      async () => {
        expect(await store.load(key)).toEqual({ status: "renewed" });
        expect(await store.load(next)).toMatchObject({ record: { publicId } });
        expect(await listOf(owner)).toEqual([publicId]);
      },
    ];
  },
  "a sign-out": ({ key, owner }) => ended(() => store.destroy(key), key, owner),
  "a sign-out by the old key": ({ old, key, owner }) => ended(() => store.destroy(old), key, owner),
  "a sign-out by the public id": ({ key, owner, publicId }) =>
    ended(() => store.destroyByPublicId(owner, publicId), key, owner),
  "a sign-out everywhere": ({ key, owner, publicId }) =>
    ended(
      async () => expect(await store.destroyAll(owner)).toMatchObject([{ publicId }]),
      key,
      owner,
    ),
  "a session's end by its own change": ({ key, owner }) =>
    ended(() => store.commit(key, change({ idle: 0 })), key, owner),
};

function updated(key: Key, at: Key): [() => Promise<unknown>, () => Promise<void>] {
  return [
    async () => {
      const old = key === at ? {} : { renewed: true };
      expect(await store.commit(key, increment(0))).toEqual({ status: "saved", key, ...old });
    },
    async () => expect(await countOf(at)).toBe("1"),
  ];
}

function ended(
  end: () => Promise<unknown>,
  key: Key,
  owner: string,
): [() => Promise<unknown>, () => Promise<void>] {
  return [
    async () => expect(await end()).toBeTruthy(),
    async () => {
      expect(await store.load(key)).toEqual({ status: "none" });
      expect(await store.list(owner)).toEqual([]);
    },
  ];
}

/** The keys of one session are on either node: each way to divide them. */
const divisions = Array.from({ length: 8 }, (_, bits) => bits);

describe("while a slot moves from one node to another, nothing is lost or applied by halves:", () => {
  test.each(Object.keys(works))("%s", async (name) => {
    for (const bits of divisions) {
      const session = await renewed();
      const [work, check] = (works[name] as (typeof works)[string])(session);
      await whileMoving((_, n) => ((bits >> n) & 1) === 1, work);
      await check();
      await Promise.all(nodes.map(({ redis }) => redis.flushdb()));
    }
  });

  test("a session that gets its first owner", async () => {
    for (const isMoved of [true, false]) {
      const [key, { publicId }] = [newKey(TAG), record()];
      const move = change({ addOwners: new Set(["user:ada"]) } satisfies Partial<Change>);
      await store.create(key, record({ publicId }));
      await whileMoving(
        () => isMoved,
        () => store.commit(key, move),
      );
      expect(await listOf("user:ada")).toEqual([publicId]);
      expect(await store.destroyAll("user:ada")).toHaveLength(1);
    }
  });

  test("a new session", async () => {
    const key = newKey(TAG);
    await whileMoving(
      () => true,
      () => store.create(key, record({ owners: new Set(["user:ada"]) })),
    );
    expect(await store.load(key)).toMatchObject({ status: "live" });
    expect(await store.destroyAll("user:ada")).toHaveLength(1);
  });
});
