import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect } from "@lanai/browser";
import { type Message, memoryPubSub } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { memoryStore } from "@lanai/session";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hostOf, rawPage } from "./page.ts";
import { type Live, newDesk, startSite } from "./site.ts";

const keys = ["k".repeat(32)];
const reasons: unknown[] = [];
const keep = (event: unknown): void => void reasons.push((event as { reason: unknown }).reason);
beforeEach(() => subscribe("lanai:channels:refused", keep));
afterEach(() => {
  unsubscribe("lanai:channels:refused", keep);
  reasons.length = 0;
});

/** Two processes with keys, a page in a room of the first, and whoever can write to the bus. */
async function start() {
  const backend = memoryPubSub();
  const told: { subject: string; data: Message["data"] }[] = [];
  const publish = backend.publish.bind(backend);
  backend.publish = async (subject, data, options) => {
    if (subject.startsWith("$lanai.channels.")) {
      told.push({ subject: subject.slice("$lanai.channels.".length), data });
    }
    await publish(subject, data, options);
  };
  const common = { store: memoryStore(), desk: newDesk(), keys };
  const first = await startSite(backend, common);
  const second = await startSite(backend, common);
  const line = connect<Live>(`${first.url}/live`, {
    host: hostOf(await first.visit("/sign-in?user=ada")),
  });
  const room = line.join("room.:id", { id: "a" });
  await expect.poll(() => room.members.length).toBe(1);
  return {
    ...{ first, second, room, told, desk: common.desk },
    library: libraryPubSub(backend, "channels"),
    /** The first subject that ends so, and the last note on it. */
    find(end: string) {
      const found = told.findLast(({ subject }) => subject.endsWith(end));
      return { subject: found?.subject ?? "", data: String(found?.data) };
    },
    async [Symbol.asyncDispose]() {
      line.close();
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    },
  };
}

test("C9: with keys of the clients, no note of the channels counts that isn't signed, and each refusal is reported", async () => {
  await using it = await start();
  const { library, room } = it;
  const notes = it.find(".notes").subject;
  const members = it.find(".members.room.a").subject;
  const forged = { v: 1, node: "other" };
  const write = (subject: string, content: object) =>
    library.publish(subject, JSON.stringify({ ...forged, ...content }));
  let left = 0;
  room.on("left", () => {
    left += 1;
  });
  await write(notes, { word: "remove", id: "1", key: "room.a", target: { user: "ada" } });
  const eve = [{ id: "eve", data: { name: "eve" } }];
  await write(members, { word: "list", seq: 1, members: eve, first: true, last: true });
  // A note of its own comes after those: it has been read when the answer is here.
  await it.second.channels.remove({ user: "nobody" }, "room.:id", { id: "a" });
  await it.second.channels.publish("room.:id", { id: "a" }, "said", { text: "still here" });
  await expect.poll(() => reasons).toEqual(["unsigned"]);
  expect(room.members).toEqual([expect.objectContaining({ data: { name: "ada" } })]);
  expect(left).toBe(0);
});

test("C9: a signed note counts once: one that is copied, or moved to another subject, changes nothing", async () => {
  await using it = await start();
  const { first, second, room, library, desk } = it;
  desk.allow = () => false;
  await second.channels.remove({ user: "ada" }, "room.:id", { id: "a" });
  await expect.poll(() => room.members.length).toBe(0);
  const { subject, data } = it.find(".notes");
  const removal = it.told.findLast(({ data: text }) => String(text).includes('"remove"'));
  desk.allow = () => true;
  using page = await rawPage(first.port, await first.visit("/sign-in?user=ada"));
  page.send({ t: "join", p: "room.:id", a: { id: "a" } });
  await page.receives({ t: "joined" });
  await library.publish(subject, String(removal?.data));
  await library.publish(it.find(".members.room.a").subject, data);
  await second.channels.remove({ user: "nobody" }, "room.:id", { id: "a" });
  expect(page.frames).not.toContainEqual(expect.objectContaining({ t: "left" }));
  expect([...reasons].sort()).toEqual(["forged", "repeated"]);
});

test("B2: with keys, a call that reaches two processes is handled once", async () => {
  await using it = await start();
  const { first, second, desk } = it;
  const cookie = await first.visit("/sign-in?user=ada");
  using one = await rawPage(first.port, cookie);
  using other = await rawPage(second.port, cookie);
  const call = { t: "call", k: "room.a", i: "0123456789abcdef", m: "say", d: { text: "once" } };
  for (const page of [one, other]) {
    page.send({ t: "join", p: "room.:id", a: { id: "a" } });
    await page.receives({ t: "joined" });
    page.send(call);
  }
  for (const page of [one, other]) await page.receives({ t: "result" });
  expect(desk.handled).toEqual(["once"]);
});
