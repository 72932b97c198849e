import { createPubSub } from "@lanai/pubsub";
import { expect, test } from "vitest";
import { watch } from "./watched.ts";

test("what happens is told on diagnostics channels, without what was published", async () => {
  using watched = watch();
  const bus = createPubSub();
  bus.onError(() => {});
  await bus.ensureStream({ name: "kept", subjects: ["kept"] });
  await bus.subscribe("x", () => {});
  const subscription = await bus.subscribe("kept", () => {}, { since: "hunter2" });
  await bus.raw.publish("x", new TextEncoder().encode("hunter2"));
  const slow = bus.events("slow", { queue: { limit: 1, overflow: "drop-oldest" } });
  for (let n = 0; n < 5; n++) await bus.publish("slow", n);
  await slow.next();
  await slow.next();
  await subscription.unsubscribe();
  const told = watched.events.map(({ name, event: { error: _, ...event } }) => ({
    name,
    ...event,
  }));
  expect(told).toEqual([
    { name: "stream", level: "info", subject: "kept" },
    { name: "subscribed", level: "info", subject: "x" },
    { name: "subscribed", level: "info", subject: "kept" },
    { name: "gap", level: "warn", subject: "kept", reason: "cursor" },
    { name: "error", level: "error", subject: "x" },
    { name: "subscribed", level: "info", subject: "slow" },
    { name: "gap", level: "warn", subject: "slow", reason: "overflow", count: 3 },
    { name: "unsubscribed", level: "info", subject: "kept" },
  ]);
  const errors = watched.events.flatMap(({ event }) => (event.error ? [event.error] : []));
  expect(errors).toEqual([expect.objectContaining({ code: "ERR_PUBSUB_DECODE" })]);
  expect(JSON.stringify(watched.events) + String(errors[0])).not.toContain("hunter2");
});
