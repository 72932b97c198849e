import type { Ended, Key, OwnerLimit } from "@lanai/session/store";
import { type RedisClient, type RedisStore, redisStore } from "@lanai/session-redis";
import { Cluster } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { advance } from "./advance.ts";
import { change, newKey, record } from "./records.ts";

const OWNER = "user:ada";

let servers: RedisCluster;
let cluster: Cluster;
let store: RedisStore;

beforeAll(async () => {
  servers = await startRedisCluster();
  cluster = new Cluster(servers.nodes.map(({ host, port }) => ({ host, port })));
  store = redisStore(cluster);
});
beforeEach(async () => {
  await Promise.all(cluster.nodes("master").map((node) => node.flushdb()));
});
afterAll(async () => {
  cluster?.disconnect();
  await servers?.stop();
});

/** A store of its own, which is held before its nth command until `first` has settled. */
function held(n: number, first: () => Promise<unknown>): RedisStore {
  let sent = 0;
  const client: RedisClient = {
    isCluster: true,
    async call(command, ...args) {
      // The hash of a script that a node doesn't know costs no step.
      if (command === "EVALSHA" && ++sent === n) await first();
      return cluster.call(command, ...args);
    },
  };
  return redisStore(client);
}

interface SignIn {
  readonly key: Key;
  readonly publicId: string;
  readonly by: (store: RedisStore) => Promise<unknown>;
}

let ended: string[];
const limited = (limit: number, overflow: OwnerLimit["overflow"]): OwnerLimit => ({
  owner: OWNER,
  limit,
  overflow,
  onEnded: (all: readonly Ended[]) => void ended.push(...all.map(({ publicId }) => publicId)),
});

beforeEach(() => {
  ended = [];
});

let tags = 0;

/** A sign-in that makes a session, or one in a session that there is; each in a slot of its own. */
async function signIn(how: "new" | "renewal", limitOwner: OwnerLimit): Promise<SignIn> {
  tags += 1;
  const tag = `a${String.fromCharCode(97 + (tags % 26))}`;
  const key = newKey(tag);
  const { publicId } = record();
  if (how === "new") {
    const given = record({ publicId, owners: new Set([OWNER]), limitOwner });
    return { key, publicId, by: (it) => it.create(key, given) };
  }
  await store.create(key, record({ publicId }));
  const renewTo = newKey(tag);
  const login = change({ renewTo, addOwners: new Set([OWNER]), limitOwner });
  return { key: renewTo, publicId, by: (it) => it.commit(key, login) };
}

const living = async () => (await store.list(OWNER)).map(({ publicId }) => publicId).sort();

describe.each(["new", "renewal"] as const)("S21: of two sign-ins (%s) on a cluster", (how) => {
  test.each([1, 2, 3])("and a limit of %i, no more live, whatever comes between", async (limit) => {
    for (let step = 1; step <= 6; step++) {
      const limitOwner = limited(limit, "end-oldest");
      for (let n = 0; n < limit; n++) await (await signIn(how, limitOwner)).by(store);
      const [slow, fast] = [await signIn(how, limitOwner), await signIn(how, limitOwner)];
      let coming: Promise<void> | undefined;
      const come = async () => {
        await fast.by(store);
        expect((await living()).length).toBeLessThanOrEqual(limit);
      };
      await slow.by(
        held(step, () => {
          coming = come();
          return coming;
        }),
      );
      // Before a command that nobody waits for, or before none.
      await (coming ?? come());
      const left = await living();
      expect(left.length).toBeLessThanOrEqual(limit);
      expect(left.length).toBeGreaterThanOrEqual(limit - 1);
      expect(new Set(ended).size).toBe(limit + 2 - left.length);
      expect(left.some((it) => ended.includes(it))).toBe(false);
      for (const { key, publicId } of [slow, fast]) {
        const status = left.includes(publicId) ? "live" : "none";
        expect(await store.load(key)).toMatchObject({ status });
      }
      await store.destroyAll(OWNER);
      ended = [];
    }
  });

  test("the one that has reserved its place first wins, and the other is refused", async () => {
    const limitOwner = limited(1, "refuse");
    const [slow, fast] = [await signIn(how, limitOwner), await signIn(how, limitOwner)];
    const refused = { code: "ERR_SESSION_LIMIT", status: 409 };
    await slow.by(held(3, () => expect(fast.by(store)).rejects.toMatchObject(refused)));
    expect(await living()).toEqual([slow.publicId]);
    const [late, first] = [await signIn(how, limitOwner), await signIn(how, limitOwner)];
    await store.destroyAll(OWNER);
    await expect(late.by(held(2, () => first.by(store)))).rejects.toMatchObject(refused);
    expect(await living()).toEqual([first.publicId]);
    expect(ended).toEqual([]);
  });

  test("a place whose process has died is free after ten seconds, and is never taken late", async () => {
    const limitOwner = limited(1, "refuse");
    const [dead, next] = [await signIn(how, limitOwner), await signIn(how, limitOwner)];
    const coming = Promise.withResolvers<void>();
    const reserved = Promise.withResolvers<void>();
    const late = dead.by(
      held(3, () => {
        reserved.resolve();
        return coming.promise;
      }),
    );
    await reserved.promise;
    await expect(next.by(store)).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
    await advance(servers.nodes, "lanai:", 11_000);
    await next.by(store);
    expect(await living()).toEqual([next.publicId]);

    // It stood still, and goes on.
    coming.resolve();
    await late;
    expect(await living()).toEqual([next.publicId]);
    expect(await store.load(dead.key)).toEqual({ status: "none" });
    expect(ended).toEqual([dead.publicId]);
  });
});

test("S21: a sign-in that failed on the way may be tried again, though its place was taken", async () => {
  const limitOwner = limited(1, "end-oldest");
  const key = newKey("ab");
  await store.create(key, record());
  const login = (by: RedisStore) => {
    const renewTo = newKey("ab");
    return by.commit(key, change({ renewTo, addOwners: new Set([OWNER]), limitOwner }));
  };
  const crash = () => Promise.reject(new Error("crash"));
  await expect(login(held(3, crash))).rejects.toThrow("crash");
  // Another sign-in takes the place that was reserved.
  await (await signIn("new", limitOwner)).by(store);
  expect(await login(store)).toMatchObject({ status: "saved" });
  expect(await living()).toHaveLength(1);
  expect(ended).toHaveLength(1);
});

test("a sign-in takes three steps where the limit is far, and one more where it is not", async () => {
  const cost = async (limit: number) => {
    const { by } = await signIn("renewal", limited(limit, "end-oldest"));
    let sent = 0;
    await by(
      redisStore({
        isCluster: true,
        call(command, ...args) {
          if (command !== "INFO") sent += 1;
          return cluster.call(command, ...args);
        },
      }),
    );
    return sent;
  };
  await cost(3);
  // Tried, reserved, done; and the place is given back, for which nobody waits.
  expect(await cost(3)).toBe(4);
  expect(await cost(3)).toBe(4);
  // The three that there are, are looked at, and one is ended, and taken from the list.
  expect(await cost(3)).toBe(4 + 3 + 2);
});
