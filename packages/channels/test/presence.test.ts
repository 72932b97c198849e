import { connect, type Line } from "@lanai/browser";
import { NoteSeal } from "@lanai/connection/note-seal";
import { memoryPubSub, type PubSub, type Streams, type SubscribeOptions } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { expect, test } from "vitest";
import { Notes } from "../src/bus/notes.ts";
import { Presence } from "../src/room/presence.ts";
import { hostOf } from "./page.ts";
import { type Backend, type Live, type Site, startSite } from "./site.ts";

const member = (id: string) => ({ id, data: { name: id } });

/** The presence of a process, and who its tabs have been shown. */
async function openPresence(bus: PubSub & Streams) {
  const node = crypto.randomUUID();
  const shown = new Set<string>();
  const presence = new Presence({
    notes: new Notes(bus, new NoteSeal({ node, purpose: "test" })),
    ...{ subject: "members", node, key: "room.a", onUnsent() {} },
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

test("C8: a process that doesn't answer has nobody there any more", async () => {
  const bus = libraryPubSub(memoryPubSub(), "channels");
  let isDeaf = false;
  let onGap: NonNullable<SubscribeOptions["onGap"]> = () => {};
  const deaf: PubSub & Streams = {
    ...bus,
    subscribe(subject, handler, options) {
      onGap = options?.onGap ?? onGap;
      return bus.subscribe(subject, (message) => isDeaf || handler(message), options);
    },
  };
  const [one, two] = [await openPresence(bus), await openPresence(bus)];
  const other = await openPresence(deaf);
  one.presence.set("tab 1", member("ada"));
  two.presence.set("tab 2", member("bob"));
  await expect.poll(() => [...other.shown].sort()).toEqual(["ada", "bob"]);
  isDeaf = true;
  await one.presence.close();
  isDeaf = false;
  onGap({ subject: "members", reason: "reconnect" });
  await expect.poll(() => [...other.shown], { timeout: 10_000 }).toEqual(["bob"]);
  await Promise.all([two.presence.close(), other.presence.close()]);
});

test("C8: who comes and who goes is told again if the bus has refused to take it", async () => {
  const backend = memoryPubSub();
  let isRefusing = false;
  const refused: string[] = [];
  const refusing: Backend = {
    ...backend,
    async publish(subject, data, options) {
      if (isRefusing && subject.includes(".members.")) {
        refused.push(String(data));
        throw new Error("connection lost");
      }
      await backend.publish(subject, data, options);
    },
  };
  await using first = await startSite(refusing);
  await using second = await startSite(backend);
  const come = async (site: Site, user: string): Promise<Line<Live>> => {
    const host = hostOf(await site.visit(`/sign-in?user=${user}`));
    return connect<Live>(`${site.url}/live`, { host });
  };
  const eve = await come(second, "eve");
  const room = eve.join("room.:id", { id: "a" });
  await room.joined;
  const names = () => room.members.map(({ data }) => data.name).sort();
  isRefusing = true;
  const ada = await come(first, "ada");
  await ada.join("room.:id", { id: "a" }).joined;
  await expect.poll(() => refused).toContainEqual(expect.stringContaining('"change"'));
  isRefusing = false;
  await expect.poll(names, { timeout: 10_000 }).toEqual(["ada", "eve"]);
  // She was the last one there, and her process has no room any more that could tell it.
  isRefusing = true;
  ada.close();
  await expect.poll(() => first.channels.size.channels).toBe(0);
  isRefusing = false;
  await expect.poll(names, { timeout: 10_000 }).toEqual(["eve"]);
  eve.close();
});
