import { setTimeout as wait } from "node:timers/promises";
import { NoteSeal } from "@lanai/connection/note-seal";
import { memoryPubSub, type PubSub } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Notes } from "../src/bus/notes.ts";
import { Processes, type ProcessesOptions } from "../src/bus/processes.ts";

/** A process whose way from the bus can be held up. */
function startProcess(backend: PubSub, options: Partial<ProcessesOptions> = {}) {
  const library = libraryPubSub(backend, "channels");
  const held: (() => void)[] = [];
  let isHeld = false;
  const removed: string[] = [];
  const node = crypto.randomUUID().slice(0, 8);
  const bus: typeof library = {
    ...library,
    subscribe: (subject, handler, settings) =>
      library.subscribe(
        subject,
        (message) => (isHeld ? void held.push(() => handler(message)) : handler(message)),
        settings,
      ),
  };
  const processes = new Processes({
    ...{ node, notes: new Notes(bus, new NoteSeal({ node, purpose: "test" })) },
    ...{ scope: "x", interval: 200, removeTimeout: 2_000 },
    onRemove: async (_target, key) => void removed.push(key),
    ...{ onLost() {}, onMissed() {}, onRecovered: async () => {}, onPosted: () => 204 },
    ...options,
  });
  return {
    ...{ processes, removed },
    hold: () => {
      isHeld = true;
    },
    release() {
      isHeld = false;
      for (const tell of held.splice(0)) tell();
    },
  };
}

test("B4: remove waits for a process that it has never heard of, when it was there before", async () => {
  const backend = memoryPubSub();
  const one = startProcess(backend);
  await one.processes.open();
  const fresh = startProcess(backend);
  await fresh.processes.remove({ user: "ada" }, "room.a");
  expect(one.removed).toEqual(["room.a"]);
  for (const it of [one, fresh]) await it.processes.close();
});

test("B4: remove rejects while a process doesn't confirm, and that one reads it before it delivers again", async () => {
  const backend = memoryPubSub();
  const order: string[] = [];
  const one = startProcess(backend, {
    onRemove: async (_target, key) => void order.push(`removed ${key}`),
    onRecovered: async () => void order.push("recovered"),
  });
  const other = startProcess(backend, { removeTimeout: 100 });
  await one.processes.open();
  await other.processes.open();
  one.hold();
  await expect(other.processes.remove({ user: "ada" }, "room.a")).rejects.toMatchObject({
    code: "ERR_CHANNELS_UNAVAILABLE",
  });
  await until(() => expect(one.processes.permission()).toBeDefined());
  const may = one.processes.permission();
  one.release();
  await may;
  expect(order.slice(0, 2)).toEqual(["removed room.a", "recovered"]);
  expect(one.processes.permission()).toBeUndefined();
  for (const it of [one, other]) await it.processes.close();
});

test("a process that is lost is waited for no longer", async () => {
  const backend = memoryPubSub();
  const lost: string[] = [];
  const one = startProcess(backend, { onLost: (node) => lost.push(node) });
  const other = startProcess(backend);
  await one.processes.open();
  await other.processes.open();
  await other.processes.close();
  await expect.poll(() => lost).toEqual([other.processes.node]);
  expect(one.processes.others).toBe(0);
  await one.processes.remove({ user: "ada" }, "room.a");
  await one.processes.close();
});

test("a process that hears nothing for a while, not even itself, loses nobody", async () => {
  const backend = memoryPubSub();
  const lost: string[] = [];
  const one = startProcess(backend, { onLost: (node) => lost.push(node) });
  const other = startProcess(backend);
  await one.processes.open();
  await other.processes.open();
  await until(() => expect(one.processes.others).toBe(1));
  one.hold();
  // Five intervals; three of silence would be the end of a process.
  await wait(1_000);
  expect(one.processes.others).toBe(1);
  one.release();
  await until(() => expect(one.processes.permission()).toBeUndefined());
  expect(lost).toEqual([]);
  for (const it of [one, other]) await it.processes.close();
});

test("remove says that it holds here only, when the bus is closed", async () => {
  const backend = memoryPubSub();
  const { processes, removed } = startProcess(backend);
  await processes.open();
  await backend.close();
  await expect(processes.remove({ user: "ada" }, "room.a")).rejects.toMatchObject({
    code: "ERR_CHANNELS_UNAVAILABLE",
    message: expect.stringContaining("this process only"),
  });
  expect(removed).toEqual(["room.a"]);
  await processes.close();
});
