import { createSecretKey } from "node:crypto";
import { NoteSeal } from "@lanai/connection/note-seal";
import { memoryPubSub, type PubSub, PubSubError, type SubscribeOptions } from "@lanai/pubsub";
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

test("a subscription that the bus has closed is made again, and what it may have missed is asked for", async () => {
  const bus = memoryPubSub();
  const closes: (() => Promise<void>)[] = [];
  const pubsub: PubSub = {
    ...bus,
    async subscribe(subject, handler, options?: SubscribeOptions) {
      const subscription = await bus.subscribe(subject, handler, options);
      closes.push(async () => {
        await subscription.unsubscribe();
        options?.onError?.(new PubSubError("ERR_PUBSUB_UNAVAILABLE", "no permission any more"));
      });
      return subscription;
    },
  };
  let missed = 0;
  const relay = new Relay({
    ...{ pubsub, node: "a", timeout: 100, onEcho: () => {} },
    missed: () => missed++,
  });
  const notes: unknown[] = [];
  await relay.retain("s", (note) => notes.push(note));
  await relay.retain("other", () => {});
  await closes[0]?.();
  await until(() => expect(closes).toHaveLength(3));
  expect(missed).toBe(1);
  await bus.publish("s", new NoteSeal(others).write("s", { word: "ok" }));
  await until(() => expect(notes).toHaveLength(1));
  await relay.close();
  await bus.close();
});
