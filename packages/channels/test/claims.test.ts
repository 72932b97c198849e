import { NoteSeal } from "@lanai/connection/note-seal";
import { memoryPubSub, type PubSub, type Streams } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { expect, test } from "vitest";
import { Claims, type Outcome } from "../src/bus/claims.ts";
import { Notes } from "../src/bus/notes.ts";

const notesOf = (bus: PubSub & Streams): Notes =>
  new Notes(bus, new NoteSeal({ node: crypto.randomUUID(), purpose: "test" }));

const done = (json: string): Outcome => ({ ok: true, json });

test("B2: a process that remembers no claim doesn't handle a call again, while the bus recognises it", async () => {
  const backend = memoryPubSub();
  const bus = libraryPubSub(backend, "channels");
  const one = new Claims({ notes: notesOf(bus), scope: "x", timeout: 5_000 });
  expect(await one.once("call", async () => done("1"))).toEqual(done("1"));
  // Of what came before it, this process hears nothing.
  const other = new Claims({
    notes: notesOf({
      ...bus,
      subscribe: (subject, handler, options) =>
        bus.subscribe(subject, handler, { ...options, replay: 0 }),
    }),
    ...{ scope: "x", timeout: 50 },
  });
  let handled = 0;
  const outcome = await other.once("call", async () => {
    handled += 1;
    return done("2");
  });
  expect([outcome, handled]).toEqual([undefined, 0]);
  await Promise.all([one.close(), other.close()]);
});

test("B2: a process that comes later returns what the call resulted in", async () => {
  const bus = libraryPubSub(memoryPubSub(), "channels");
  const one = new Claims({ notes: notesOf(bus), scope: "x", timeout: 5_000 });
  await one.once("call", async () => ({ ok: false, code: "ERR_NO", message: "no" }));
  const other = new Claims({ notes: notesOf(bus), scope: "x", timeout: 5_000 });
  const outcome = await other.once("call", async () => done("2"));
  expect(outcome).toEqual({ ok: false, code: "ERR_NO", message: "no" });
  await Promise.all([one.close(), other.close()]);
});

test("B2: a call that is sent again is not handled if the record of calls is another one", async () => {
  const claims = (): Claims => {
    const bus = libraryPubSub(memoryPubSub(), "channels");
    return new Claims({ notes: notesOf(bus), scope: "x", timeout: 5_000 });
  };
  const one = claims();
  const place = await one.place();
  expect(await one.once("call", async () => done("1"))).toEqual(done("1"));
  expect(await one.once("call", async () => done("2"), place)).toEqual(done("1"));
  // The process was killed: what it knew in memory is lost.
  const other = claims();
  let handled = 0;
  const handle = async (): Promise<Outcome> => done(`${++handled}`);
  expect(await other.once("call", handle, place)).toBeUndefined();
  // It can't tell a call from before that was never handled.
  expect(await other.once("unsent", handle, place)).toBeUndefined();
  expect(handled).toBe(0);
  expect(await other.once("new", handle, await other.place())).toEqual(done("1"));
  // A record that was restored from an older state ends before the place.
  expect(await other.once("late", handle, place?.replace(/\d+$/, "99"))).toBeUndefined();
  await Promise.all([one.close(), other.close()]);
});
