import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";

const program = fileURLToPath(new URL("../src/publish-from-job.ts", import.meta.url));
/** Under the examples' own config, which runs in their folders, the packages are the built ones. */
const areBuilt = process.cwd().endsWith("recipes");
const conditions = areBuilt ? [] : ["--conditions=@lanai/source"];

test("publish-from-job: what a job publishes is retained for the server's pages, once, and the job ends", async () => {
  await using server = await startRedis();
  const REDIS_URL = `redis://${server.host}:${server.port}`;
  const redis = new Redis(REDIS_URL);
  const bus = createPubSub({ backend: redisPubSub(redis) });
  await bus.ensureStream({ name: "channels", subjects: ["channels.>"], maxMsgs: 100 });
  const run = () =>
    promisify(execFile)(process.execPath, [...conditions, program, "Surf is up", "news-7"], {
      env: { ...process.env, REDIS_URL },
    });

  const { stderr } = await run();
  await run();

  expect(stderr).toBe("");
  const retained = await bus.history("channels.>", 10);
  expect(retained.map(({ data }) => data)).toEqual([
    { e: "published", d: { title: "Surf is up" } },
  ]);
  await bus.close();
  await redis.quit();
});
