import type { PubSub } from "@lanai/pubsub";
import { type Peer, startPeer } from "@lanai/pubsub/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen, numbers, openBackend } from "./fixture.ts";
import { wireOf } from "./servers.ts";

let server: RedisServer;
let here: ReturnType<typeof openBackend>;
let there: PubSub;
let peer: Peer;

const module = new URL("./open-backend.ts", import.meta.url).href;

beforeAll(async () => {
  server = await startRedis();
  here = openBackend(server.port);
  peer = startPeer(module);
  there = await peer.open({ port: server.port });
});
afterAll(async () => {
  await peer?.kill();
  await here?.[Symbol.asyncDispose]();
  await server?.stop();
});

test("two processes hear each other and themselves", async () => {
  const { texts } = await listen(here.backend, "both.*");
  const heard = await listen(there, "both.>");
  await Promise.all([
    ...numbers(1, 500).map((text) => there.publish("both.there", text)),
    ...numbers(501, 1_000).map((text) => here.backend.publish("both.here", text)),
  ]);
  const sorted = (all: readonly string[]) => all.toSorted((a, b) => Number(a) - Number(b));
  await until(() => expect([texts.length, heard.texts.length]).toEqual([1_000, 1_000]));
  expect(sorted(texts)).toEqual(numbers(1, 1_000));
  expect(sorted(heard.texts)).toEqual(numbers(1, 1_000));
});

test("P4: one that never called ensureStream stores too, and resumes the other's cursor", async () => {
  await here.backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  for (const text of numbers(1, 20)) await there.publish("kept.a", text);
  const { messages, texts } = await listen(here.backend, "kept.a", { replay: Infinity });
  await until(() => expect(texts).toEqual(numbers(1, 20)));
  const resumed = await listen(there, "kept.*", { since: messages[4]?.id });
  expect(resumed.subscription.recovered).toBe(true);
  await here.backend.publish("kept.a", "21");
  await until(() => expect(resumed.texts.length).toBe(16));
  expect(resumed.texts).toEqual(numbers(6, 21));
  const ids = messages.slice(5, 20).map(({ id }) => id);
  expect(resumed.messages.map(({ id }) => id).slice(0, 15)).toEqual(ids);
});

test("one that is killed leaves no subscription and harms nobody", async () => {
  await using other = startPeer(module);
  const killed = await other.open({ port: server.port });
  const before = await wireOf([server], "lanai:");
  await listen(killed, "killed.*");
  await listen(killed, "kept.>");
  const { texts } = await listen(here.backend, "killed.a");
  expect(await wireOf([server], "lanai:")).toBe(before + 2);
  await other.kill();
  await here.backend.publish("killed.a", "1");
  await until(() => expect(texts).toEqual(["1"]));
  await until(async () => expect(await wireOf([server], "lanai:")).toBe(before + 1));
});
