import assert from "node:assert/strict";
import type { PubSub, Streams } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";

/**
 * Checks law C9 for the widest streams that an app can make. The backend must be fresh: such a
 * stream overlaps with all others.
 */
export async function keepReservedOutOfStreams(backend: PubSub & Streams): Promise<void> {
  await backend.ensureStream({ name: "wide", subjects: [">"] });
  const library = libraryPubSub(backend, "clients");
  const { promise: came, resolve } = Promise.withResolvers<string>();
  await library.subscribe("x", ({ subject, id }) => resolve(`${subject} ${id}`));
  await library.publish("x", "inside");
  assert.equal(await came, "x undefined");
  await backend.publish("y", "app");
  const retained = await backend.history(">", 100);
  assert.deepEqual(
    retained.map(({ subject }) => subject),
    ["y"],
  );
}
