import { redisStore } from "@lanai/session-redis";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { isLong, seed } from "../../../scripts/testing/chance.ts";
import { damagedSessions } from "../../session/test/damaged.ts";
import { change, newKey, record } from "./records.ts";

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

const inRedis = (key: string) => `lanai:{${key.slice(0, 2)}}${key.slice(2)}`;

damagedSessions({
  name: "Redis",
  open: () => redisStore(redis),
  damage: (key) => redis.hset(inRedis(key), "o", "no JSON"),
  damageOther: (key) => redis.hset(inRedis(key), "m", "1 2"),
});

/** What a field may hold that somebody else has written. */
const text = fc.oneof(
  fc.constantFrom("", "[]", "{}", "null", "[null]", '["ada"]', "[1,2]", '[[1],"ada"]', "[NaN]"),
  fc.constantFrom("1 2 3 4 5 p", "NaN 2 3 4 5 p", "1 2 3 nan 5 p", "1 2 3 4 inf p", "1 2 3 4 5 "),
  fc.constantFrom("9".repeat(400), "[".repeat(10_000), "1 2 3 4 5 p\n", '"'.repeat(1_000)),
  fc.json({ maxDepth: 3 }),
  fc.string({ unit: "binary", maxLength: 40 }),
);
const damage = fc.oneof(
  fc.record({ field: fc.constantFrom("m", "o", "r", "k", ">", "!", "e", "w", "zz", "=d:a"), text }),
  fc.record({ field: fc.constantFrom("m", "o", "r"), text: fc.constant(undefined) }),
);

const outcome = (work: () => Promise<unknown>): Promise<unknown> =>
  work().then(
    (it) => it,
    ({ code, message }: { code?: string; message: string }) => ({ code, message }),
  );

describe(`damaged records (LANAI_SEED=${seed})`, () => {
  test("are read well-formed, or are ERR_SESSION_DECODE, and each can be ended", async () => {
    const store = redisStore(redis);
    const check = async (damages: readonly { field: string; text?: string | undefined }[]) => {
      const [key, other] = [newKey(), newKey()];
      const owners = new Set(["user:ada"]);
      const values = new Map([["d:a", "1"]]);
      await store.create(key, record({ owners, values }));
      await store.create(other, record({ owners }));
      for (const { field, text } of damages) {
        if (text === undefined) await redis.hdel(inRedis(key), field);
        else await redis.hset(inRedis(key), field, text);
      }
      const refused = {
        code: "ERR_SESSION_DECODE",
        message: expect.stringContaining("redisStore"),
      };
      const loaded = await outcome(() => store.load(key));
      const isLive = (loaded as { status?: string }).status === "live";
      if (isLive) expectWellFormed((loaded as { record: object }).record);
      else {
        expect([refused, { status: "none" }, { status: "renewed" }]).toContainEqual(loaded);
      }
      const results = [
        await outcome(() => store.commit(key, change({ set: new Map([["d:a", "2"]]) }))),
        await outcome(() => store.commit(key, change({ addOwners: new Set(["user:bob"]) }))),
      ];
      for (const result of results) {
        const { code, status } = result as { code?: string; status?: string };
        expect(["ERR_SESSION_DECODE", "saved", "gone", "renewed"]).toContain(code ?? status);
      }
      // One damaged record hides no other, and is in nobody's way.
      const listed = await store.list("user:ada");
      for (const it of listed) expectWellFormed(it);
      expect(listed.length).toBeGreaterThanOrEqual(1);
      await store.destroy(key, change().operation);
      const after = await outcome(() => store.load(key));
      expect([{ status: "none" }, { status: "renewed" }, refused]).toContainEqual(after);
      if (isLive) expect(after).toEqual({ status: "none" });
      await store.destroyAll("user:ada", { operation: change().operation });
      expect(await store.load(other)).toEqual({ status: "none" });
      await redis.flushdb();
    };
    await fc.assert(fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), check), {
      numRuns: isLong ? 5_000 : 50,
      seed,
      // What a run has found, and its like: always.
      examples: [[[{ field: "o", text: "[NaN]" }]], [[{ field: "o", text: "[-1e999]" }]]],
    });
  });

  test.each(["ends", "owner"])("are what is kept for %s, too", async (kind) => {
    const store = redisStore(redis);
    await store.create(newKey(), record({ owners: new Set(["user:ada"]) }));
    for (const text of ["no JSON", "{}", "[1]", '{"due":1}', "null", "[".repeat(10_000)]) {
      if (kind === "owner") await redis.set("lanai:owner:user:ada", text);
      else await redis.set("lanai:ends:one", text);
      const refused = { code: "ERR_SESSION_DECODE" };
      await expect(store.destroyAll("user:ada", { operation: "one" })).rejects.toMatchObject(
        refused,
      );
      if (kind === "owner") await expect(store.list("user:ada")).rejects.toMatchObject(refused);
      else {
        await expect(store.destroyPage({ operation: "one" })).rejects.toMatchObject(refused);
      }
    }
    await redis.flushdb();
  });
});

function expectWellFormed(it: object): void {
  expect(it).toMatchObject({
    publicId: expect.any(String),
    values: expect.any(Map),
    owners: expect.any(Set),
    createdAt: expect.any(Number),
    startedAt: expect.any(Number),
    seenAt: expect.any(Number),
    idle: expect.any(Number),
    absolute: expect.any(Number),
  });
  for (const [name, number] of Object.entries(it)) {
    if (typeof number === "number") expect(number, name).not.toBeNaN();
  }
  const { owners } = it as { owners: Set<unknown> };
  for (const owner of owners) expect(owner).toBeTypeOf("string");
}
