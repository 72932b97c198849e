import { createSecretKey } from "node:crypto";
import { NoteSeal } from "@lanai/connection/note-seal";
import { memoryPubSub } from "@lanai/pubsub";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Relay } from "../src/bus/relay.ts";

const keys = [createSecretKey(Buffer.from("k".repeat(32)))];
const others = { node: "b", purpose: "@lanai/clients" };

test("refused notes make a process ask for what it may have missed, and not more than every ten seconds", async () => {
  const pubsub = memoryPubSub();
  let missed = 0;
  const relay = new Relay({
    ...{ pubsub, node: "a", keys, timeout: 100, onEcho: () => {} },
    missed: () => missed++,
  });
  const notes: unknown[] = [];
  await relay.retain("s", (note) => notes.push(note));
  for (let n = 0; n < 100; n++) await pubsub.publish("s", new NoteSeal(others).write("s", {}));
  await pubsub.publish("s", new NoteSeal({ ...others, keys }).write("s", { word: "ok" }));
  await until(() => expect(notes).toHaveLength(1));
  expect(missed).toBe(1);
  await relay.close();
  await pubsub.close();
});
