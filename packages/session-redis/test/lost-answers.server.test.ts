import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { isLong } from "../../../scripts/testing/chance.ts";
import { startCuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import { until } from "../../../scripts/testing/until.ts";
import { CLIENT_TIMEOUT, lostAnswers } from "../../session/test/lost-answers.ts";
import { newKey, record } from "./records.ts";

let server: RedisServer;
let direct: Redis;

beforeAll(async () => {
  server = await startRedis();
  direct = new Redis(server.port);
});
afterAll(async () => {
  direct?.disconnect();
  await server?.stop();
});

const timeouts = [undefined, CLIENT_TIMEOUT, ...(isLong ? [CLIENT_TIMEOUT / 2] : [])];
const retries = isLong ? [0, 1, 20, null] : [0, 1];

for (const commandTimeout of timeouts) {
  for (const maxRetriesPerRequest of retries) {
    lostAnswers({
      name: `Redis, commandTimeout ${commandTimeout}, maxRetriesPerRequest ${maxRetriesPerRequest}`,
      startProxy: () =>
        startCuttingProxy({
          target: server.port,
          isCommand: (chunk) => /EVAL/i.test(chunk.toString("latin1")),
        }),
      direct: () => redisStore(direct),
      open(port) {
        const redis = new Redis(port, {
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
