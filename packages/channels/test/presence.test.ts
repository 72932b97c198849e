import { NoteSeal } from "@lanai/connection/note-seal";
import { memoryPubSub, type PubSub, type Streams } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { expect, test } from "vitest";
import { Notes } from "../src/bus/notes.ts";
import { Presence } from "../src/room/presence.ts";

const member = (id: string) => ({ id, data: { name: id } });

/** The presence of a process, and who its tabs have been shown. */
async function openPresence(bus: PubSub & Streams) {
  const node = crypto.randomUUID();
  const shown = new Set<string>();
  const presence = new Presence({
    notes: new Notes(bus, new NoteSeal({ node, purpose: "test" })),
    ...{ subject: "members", node, key: "room.a" },
    show({ text }) {
      const { come, go } = JSON.parse(text) as { come: { id: string }[]; go: string[] };
      for (const { id } of come) shown.add(id);
      for (const id of go) shown.delete(id);
    },
  });
  await presence.open();
  return { presence, shown };
}

test("a process that has missed a change of another one asks for all of its members", async () => {
  const bus = libraryPubSub(memoryPubSub(), "channels");
  let isLossy = false;
  const lossy: PubSub & Streams = {
    ...bus,
    async publish(subject, data, options) {
      if (isLossy && String(data).includes('"change"')) isLossy = false;
      else await bus.publish(subject, data, options);
    },
  };
  const one = await openPresence(lossy);
  const other = await openPresence(bus);
  one.presence.set("tab 1", member("ada"));
  await expect.poll(() => [...other.shown]).toEqual(["ada"]);
  isLossy = true;
  one.presence.delete("tab 1");
  one.presence.set("tab 2", member("bob"));
  await expect.poll(() => [isLossy, ...one.shown]).toEqual([false, "bob"]);
  one.presence.set("tab 3", member("eve"));
  await expect.poll(() => [...other.shown].sort()).toEqual(["bob", "eve"]);
  await Promise.all([one.presence.close(), other.presence.close()]);
});

test("once processes know each other's members, a change is all that is sent of them", async () => {
  const bus = libraryPubSub(memoryPubSub(), "channels");
  const words: unknown[] = [];
  const watched: PubSub & Streams = {
    ...bus,
    async publish(subject, data, options) {
      words.push(JSON.parse(String(data)).word);
      await bus.publish(subject, data, options);
    },
  };
  const one = await openPresence(watched);
  const other = await openPresence(watched);
  one.presence.set("tab 0", member("ada"));
  await expect.poll(() => [...other.shown]).toEqual(["ada"]);
  words.length = 0;
  for (const [n, id] of ["bob", "eve"].entries()) {
    one.presence.set(`tab ${n + 1}`, member(id));
    await expect.poll(() => other.shown).toContain(id);
  }
  expect(words).toEqual(["change", "change"]);
  await Promise.all([one.presence.close(), other.presence.close()]);
});
