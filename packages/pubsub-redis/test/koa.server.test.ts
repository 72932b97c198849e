import { createPubSub } from "@lanai/pubsub";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";
import { comeAndLeave } from "../../pubsub/test/come-and-leave.ts";
import { openBackend } from "./fixture.ts";
import { wireOf } from "./servers.ts";

test("thousands of subscribers come and leave through Koa, and nothing of them remains", async () => {
  await using server = await startRedis();
  await using opened = openBackend(server.port, { prefix: "koa:" });
  const bus = createPubSub({ backend: opened.backend });
  await bus.ensureStream({ name: "kept", subjects: ["room.kept.>"] });
  expect(await comeAndLeave(bus, () => wireOf([server], "koa:"))).toBe(0);
  expect(await wireOf([server], "koa:")).toBe(0);

  const admin = new Redis(server.port);
  expect(await admin.pubsub("CHANNELS")).toEqual(["koa:$streams"]);
  admin.disconnect();
});
