import { redisStore } from "@lanai/session-redis";
import type { Cluster, Redis } from "ioredis";
import { expect } from "vitest";
import { connected, testClientOptions } from "../../../scripts/testing/client-options.ts";
import { change, newKey, record } from "./records.ts";

/** A session is made, read, changed, moved, found and ended. */
async function keepsItsPromises(client: Redis | Cluster): Promise<void> {
  await connected(client);
  const store = redisStore(client);
  const [key, next] = [newKey(), newKey()];
  const owner = `user:${key}`;
  const given = record({ values: new Map([["d:a", '"é"']]), owners: new Set([owner]) });
  await store.create(key, given);
  const [one, other] = await Promise.all([store.load(key), store.load(newKey())]);
  expect(one).toMatchObject({ status: "live", record: { publicId: given.publicId } });
  expect(other).toEqual({ status: "none" });
  const set = change({ set: new Map([["d:b", "2"]]), renewTo: next });
  expect(await store.commit(key, set)).toEqual({ status: "saved", key: next });
  expect(await store.commit(key, set)).toEqual({ status: "saved", key: next });
  const [found] = await store.list(owner);
  expect(found).toMatchObject({ publicId: given.publicId, idle: given.idle });
  expect(Object.fromEntries(found?.values ?? [])).toEqual({ "d:a": '"é"', "d:b": "2" });
  expect(await store.destroyAll(owner)).toMatchObject([{ publicId: given.publicId }]);
  expect(await store.load(next)).toEqual({ status: "none" });
  client.disconnect();
}

testClientOptions({
  readme: new URL("../README.md", import.meta.url),
  make: (client) => redisStore(client),
  keepsItsPromises,
});
