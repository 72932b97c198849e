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
