import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { deckOf, isLong, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import { startCuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import { until } from "../../../scripts/testing/until.ts";
import { CLIENT_TIMEOUT, lostAnswers } from "../../session/test/lost-answers.ts";
import { newKey, record } from "./records.ts";

let server: RedisServer;
let direct: Redis;
/** The clients of the databases, by their numbers: a space is a database. */
const clients = new Map<number, Redis>();

beforeAll(async () => {
  server = await startRedis({ args: ["--databases", "1000"] });
  direct = clientOf(0);
});
afterAll(async () => {
  for (const client of clients.values()) client.disconnect();
  await server?.stop();
});

function clientOf(db: number): Redis {
  const client = clients.get(db) ?? new Redis(server.port, { db });
  clients.set(db, client);
  return client;
}

const timeouts = [undefined, CLIENT_TIMEOUT, ...(isLong ? [CLIENT_TIMEOUT / 2] : [])];
/** The short form has each of two numbers of retries with one of the timeouts, by chance. */
const shortRetries = deckOf([0, 1], randomFrom(seed));
const retries = () => (isLong ? [0, 1, 20, null] : [shortRetries()]);

for (const commandTimeout of timeouts) {
  for (const maxRetriesPerRequest of retries()) {
    lostAnswers({
      name: `Redis, commandTimeout ${commandTimeout}, maxRetriesPerRequest ${maxRetriesPerRequest}`,
      startProxy: () =>
        startCuttingProxy({
          target: server.port,
          isCommand: (chunk) => /EVAL|SCAN/i.test(chunk.toString("latin1")),
        }),
      direct: (space) => redisStore(clientOf(space)),
      open(port, db) {
        const redis = new Redis(port, {
          db,
          maxRetriesPerRequest,
          ...(commandTimeout !== undefined && { commandTimeout }),
          retryStrategy: () => 5,
        });
        redis.on("error", () => {});
        return { store: redisStore(redis), close: () => redis.disconnect() };
      },
    });
  }
}

test("S17: what a sign-in has ended is told, though the answer to the question after it is lost, too", async () => {
  let losing = 0;
  const store = redisStore({
    isCluster: false,
    async call(command, ...args) {
      const answer = await direct.call(command, ...args);
      if (losing === 0 || !command.startsWith("EVAL")) return answer;
      losing -= 1;
      throw new Error("lost");
    },
  });
  const owner = "user:lost-twice";
  const one = record({ owners: new Set([owner]) });
  await store.create(newKey(), one);
  const ended: string[] = [];
  losing = 2;
  const signIn = store.create(newKey(), {
    ...record({ owners: new Set([owner]) }),
    limitOwner: {
      ...{ owner, limit: 1, overflow: "end-oldest" },
      onEnded: (all) => ended.push(...all.map(({ publicId }) => publicId)),
    },
  });
  await expect(signIn).rejects.toThrow("lost");
  await until(() => expect(ended).toEqual([one.publicId]));
  expect(losing).toBe(0);
});
